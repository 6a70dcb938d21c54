// The key of a flow and its keyed hash.
//
// A key is (addresses, ports word, flow word). Addresses and ports are kept as an Int32Array reads them from an aligned
// frame, so that the fast path compares without swapping a byte. The flow word packs lif, VLAN id, version and protocol.
//
// The hash mixes each word with two secret odd multipliers. One would not do: a difference in the top bit passes through
// any odd multiplication unchanged, and the next word could cancel it for every key. Between the two, the top half is
// folded into the bottom half, so that what the second multiplication makes of it depends on the secret.

export const enum Flow {
  vlanShift = 16,
  ipv6 = 1 << 28,
  udp = 1 << 29,
}

/** Secrets of the hash: start value and two odd multipliers. */
export interface HashKey {
  readonly start: number;
  readonly k1: number;
  readonly k2: number;
}

/** @param random 12 random bytes (or bytes that follow from a seed, in replay). */
export function hashKey(random: Uint8Array): HashKey {
  const words = new Int32Array(random.slice(0, 12).buffer);
  return { start: words[0], k1: words[1] | 1, k2: words[2] | 1 };
}

/** Absorbs one word. */
export function mix(h: number, word: number, k1: number, k2: number): number {
  const a = Math.imul(h ^ word, k1);
  return Math.imul(a ^ (a >>> 16), k2);
}

/** Last step: the high bits are the best mixed, bucket and tag take from both ends. */
export function finish(h: number): number {
  return h ^ (h >>> 15);
}

/** The ports word of the other direction. */
export function swapPorts(ports: number): number {
  return (ports >>> 16) | (ports << 16);
}

/** Packs a flow word. @param vlan 0 when untagged. */
export function flowWord(lif: number, vlan: number, ipv6: boolean, udp: boolean): number {
  return lif | (vlan << Flow.vlanShift) | (ipv6 ? Flow.ipv6 : 0) | (udp ? Flow.udp : 0);
}
