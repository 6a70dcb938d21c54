// Routes: by which port, and under which MACs, packets to an address leave (configuration `routes:`); the longest prefix
// wins. Fixed while the device runs; each worker and control have a copy.
//
// One hash table for both families; a lookup asks once for each prefix length that occurs, the longest first.

import { prefixMask } from "../wire/bytes.js";

export interface Route {
  /** 4 or 16 bytes in network order. */
  readonly address: Uint8Array;
  readonly length: number;
  /** Port index. */
  readonly port: number;
  /** 6 bytes each. */
  readonly destinationMac: Uint8Array;
  readonly sourceMac: Uint8Array;
}

export class Routes {
  /** By route: port index. */
  readonly port: Int32Array;
  /** By route: destination MAC, source MAC. */
  readonly macs: Uint8Array;
  readonly #machineMacs: Uint16Array;
  /** By entry: route + 1, or 0. Linear probing, at most half full. */
  readonly #heads: Int32Array;
  /** By route: prefix length, and four masked words. */
  readonly #keys: Int32Array;
  readonly #lengths4: Int32Array;
  readonly #lengths6: Int32Array;
  readonly #words = new Int32Array(4);
  readonly #bytes = new Uint8Array(this.#words.buffer);

  constructor(routes: readonly Route[]) {
    let size = 16;
    while (size < routes.length * 2) size *= 2;
    this.#heads = new Int32Array(size);
    this.#keys = new Int32Array(routes.length * 5);
    this.port = Int32Array.from(routes, ({ port }) => port);
    this.macs = new Uint8Array(routes.length * 12);
    this.#machineMacs = new Uint16Array(this.macs.buffer);
    const lengths = (family: number) =>
      Int32Array.from(new Set(routes.filter(({ address }) => address.length === family).map(({ length }) => length)))
        .sort()
        .reverse();
    this.#lengths4 = lengths(4);
    this.#lengths6 = lengths(16);
    routes.forEach(({ address, length, destinationMac, sourceMac }, route) => {
      this.macs.set(destinationMac, route * 12);
      this.macs.set(sourceMac, route * 12 + 6);
      this.#load(address, 0, address.length);
      this.#mask(length);
      const tag = tagOf(length, address.length);
      this.#keys[route * 5] = tag;
      this.#keys.set(this.#words, route * 5 + 1);
      let at = this.#hash(tag);
      while (this.#heads[at] !== 0) at = (at + 1) & (this.#heads.length - 1);
      this.#heads[at] = route + 1;
    });
  }

  get size(): number {
    return this.port.length;
  }

  /** The route to this address of 4 or 16 bytes, or -1. */
  find(address: Uint8Array): number {
    return this.findAt(address, 0, address.length);
  }

  /** @param family 4 or 16: bytes of the address at `at` */
  findAt(bytes: Uint8Array, at: number, family: number): number {
    const lengths = family === 4 ? this.#lengths4 : this.#lengths6;
    for (let l = 0; l < lengths.length; l++) {
      this.#load(bytes, at, family);
      this.#mask(lengths[l]);
      const route = this.#search(tagOf(lengths[l], family));
      if (route >= 0) return route;
    }
    return -1;
  }

  /** Writes the route's MACs to the even offset of an Ethernet header. */
  write(route: number, halves: Uint16Array, ethernet: number): void {
    const to = ethernet >> 1;
    const from = route * 6;
    for (let h = 0; h < 6; h++) halves[to + h] = this.#machineMacs[from + h];
  }

  #load(bytes: Uint8Array, at: number, family: number): void {
    this.#words.fill(0);
    for (let b = 0; b < family; b++) this.#bytes[b] = bytes[at + b];
  }

  #mask(length: number): void {
    for (let b = 0; b < 16; b++) this.#bytes[b] &= prefixMask(length, b);
  }

  #search(tag: number): number {
    const words = this.#words;
    const keys = this.#keys;
    const mask = this.#heads.length - 1;
    for (let at = this.#hash(tag); this.#heads[at] !== 0; at = (at + 1) & mask) {
      const route = this.#heads[at] - 1;
      const key = route * 5;
      if (
        keys[key] === tag &&
        keys[key + 1] === words[0] &&
        keys[key + 2] === words[1] &&
        keys[key + 3] === words[2] &&
        keys[key + 4] === words[3]
      ) {
        return route;
      }
    }
    return -1;
  }

  #hash(tag: number): number {
    let h = tag;
    for (let w = 0; w < 4; w++) h = Math.imul(h ^ this.#words[w], 0x9e37_79b1) ^ (h >>> 15);
    return (h ^ (h >>> 16)) & (this.#heads.length - 1);
  }
}

function tagOf(length: number, family: number): number {
  return (length << 8) | family;
}
