// Random rules and random packets out of a world so small that they meet (fast-check).

import fc from "fast-check";
import { DEFAULTS } from "../../src/config/defaults.js";
import { type HeaderMatch, type IpMatch, type NewRule, Next, type Tunnel } from "../../src/table/rule.js";
import { ipv4, ipv6, join, tcp, udp } from "../stage/packet.js";

const MACS = [Uint8Array.of(2, 0, 0, 0, 0, 1), Uint8Array.of(2, 0, 0, 0, 0, 2), Uint8Array.of(2, 0, 0, 0, 1, 2)];
const ADDRESSES4 = [
  Uint8Array.of(10, 0, 0, 1),
  Uint8Array.of(10, 0, 0, 2),
  Uint8Array.of(10, 128, 0, 1),
  Uint8Array.of(192, 0, 2, 1),
];
const ADDRESSES6 = ["0".repeat(24), `${"0".repeat(23)}1`, `8${"0".repeat(23)}`].map((tail) =>
  Uint8Array.from(Buffer.from(`20010db8${tail}`, "hex")),
);
export const PORTS = 3;
const VLANS = [0, 100, 4095];
const VNIS = [1, 0x123456, 0xffffff];
const IDS = 30;

/** Mostly absent: a rule of many fields matches next to nothing. */
const maybe = <T>(arbitrary: fc.Arbitrary<T>, weight = 1) =>
  fc.oneof({ arbitrary, weight }, { arbitrary: fc.constant(undefined), weight: 6 });
const mac = fc.constantFrom(...MACS);
const macPair = fc.record({ destination: maybe(mac), source: maybe(mac) });

function prefix(addresses: readonly Uint8Array[]) {
  const bits = (addresses[0] as Uint8Array).length * 8;
  return fc
    .tuple(fc.constantFrom(...addresses), fc.oneof(fc.integer({ min: 1, max: bits }), fc.constant(bits)))
    .map(([address, length]) => ({
      address: address.map((byte, i) => byte & ~(0xff >> Math.min(8, Math.max(0, length - 8 * i)))),
      length,
    }));
}
const ipMatch: fc.Arbitrary<IpMatch> = fc.oneof(
  fc.record({ ipv6: fc.constant(false), source: maybe(prefix(ADDRESSES4)), destination: maybe(prefix(ADDRESSES4)) }),
  fc.record({ ipv6: fc.constant(true), source: maybe(prefix(ADDRESSES6)), destination: maybe(prefix(ADDRESSES6)) }),
);
const vni = fc.constantFrom(0, 0, 0, 0, ...VNIS);
const header: fc.Arbitrary<HeaderMatch> = fc.oneof(
  fc.record({ kind: fc.constant("esp" as const), spi: fc.constantFrom(0, 1, 0x80000001), sn: fc.constantFrom(0, 0, 7) }),
  fc.record({
    kind: fc.constant("geneve" as const),
    vni,
    protocol: fc.constantFrom(0, 0, 0x6558, 0x0800, 0x86dd),
    mac: maybe(macPair.filter((pair) => pair.destination !== undefined || pair.source !== undefined)),
    ip: maybe(ipMatch, 2),
  }),
  fc.record({
    kind: fc.constant("vxlan" as const),
    vni,
    mac: maybe(macPair.filter((pair) => pair.destination !== undefined || pair.source !== undefined)),
    ip: maybe(ipMatch, 2),
  }),
);
const outer = { source: ADDRESSES4[0] as Uint8Array, destination: ADDRESSES4[3] as Uint8Array };
const tunnel: fc.Arbitrary<Tunnel> = fc.oneof(
  fc.constantFrom(0x6558, 0x0800, 0x86dd).map((protocol) => ({
    kind: "geneve-encap" as const,
    outer,
    vni: 1,
    protocol,
    innerMac: {},
    control: false,
    options: [],
  })),
  fc.constant({ kind: "vxlan-encap" as const, outer, vni: 1, innerMac: {} }),
  fc.constantFrom({ kind: "geneve-decap" as const }, { kind: "vxlan-decap" as const }),
);

const id = fc.integer({ min: 1, max: IDS }).map(BigInt);

export const rule: fc.Arbitrary<NewRule> = fc
  .record({
    id,
    match: fc.record({
      ingress: maybe(
        fc.record({ port: fc.nat(PORTS - 1), vlan: fc.constantFrom(...VLANS, "any" as const, "any" as const, "any" as const) }),
        4,
      ),
      mac: maybe(macPair),
      ip: maybe(ipMatch, 2),
      tunnelId: maybe(id),
      header: maybe(header, 4),
    }),
    next: fc.constant(Next.forward),
    tunnel,
    // Both decapsulations listening to one port is not the table's business.
    udpPort: fc.constantFrom(0, 0, 7000),
  })
  .map(({ udpPort, ...made }) => ({
    ...made,
    settings: { ...DEFAULTS.tunnel, udpPort: udpPort === 0 ? 0 : made.tunnel.kind === "vxlan-decap" ? 7001 : 7000 },
  }));

const number = (value: number, bytes: number) =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** (bytes - 1 - i)) & 0xff);

const ethernet = (payload: fc.Arbitrary<{ type: number; bytes: Uint8Array }>) =>
  fc
    .tuple(
      mac,
      mac,
      fc.array(fc.tuple(fc.constantFrom(0x8100, 0x88a8), fc.constantFrom(0, 0x2064, 0x0fff)), { maxLength: 3 }),
      payload,
      fc.nat(1),
    )
    .map(([to, from, tags, { type, bytes }, tagged]) =>
      join(
        to,
        from,
        ...(tagged === 1 ? tags.map(([tpid, tci]) => [...number(tpid, 2), ...number(tci, 2)]) : []),
        number(type, 2),
        bytes,
      ),
    );

const ipPacket = (upper: fc.Arbitrary<{ protocol: number; bytes: Uint8Array }>) =>
  fc.oneof(
    fc
      .tuple(
        fc.constantFrom(...ADDRESSES4),
        fc.constantFrom(...ADDRESSES4),
        upper,
        fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 0, 0x4000, 0x2000, 3),
        fc.nat(5),
      )
      .map(([from, to, { protocol, bytes }, fragment, options]) => ({
        type: 0x0800,
        bytes: ipv4(from, to, protocol, bytes, fragment, options === 0 ? [1, 1, 1, 1] : []),
      })),
    fc
      .tuple(fc.constantFrom(...ADDRESSES6), fc.constantFrom(...ADDRESSES6), upper)
      .map(([from, to, { protocol, bytes }]) => ({ type: 0x86dd, bytes: ipv6(from, to, protocol, bytes) })),
  );

const plain = fc.oneof(
  fc.nat(40).map((length) => ({ protocol: 17, bytes: udp(1, 53, new Uint8Array(length)) })),
  fc.constant({ protocol: 6, bytes: tcp(1, 2, new Uint8Array(3)) }),
  fc.constant({ protocol: 1, bytes: new Uint8Array(8) }),
);
const arp = fc.constant({ type: 0x0806, bytes: new Uint8Array(28) });
const simple = ethernet(fc.oneof({ arbitrary: ipPacket(plain), weight: 4 }, { arbitrary: arp, weight: 1 }));

const tunnelled = fc
  .record({
    port: fc.constantFrom(6081, 6081, 6081, 6081, 4789, 4789, 4789, 7000, 7001, 4500, 53),
    words: fc.constantFrom(0, 0, 0, 1, 2, 63),
    options: fc.nat(2),
    flags: fc.constantFrom(0, 0x40, 8),
    protocol: fc.constantFrom(0x6558, 0x6558, 0x0800, 0x86dd, 0x0806),
    vni: fc.constantFrom(0, ...VNIS),
    inner: fc.oneof(
      simple,
      simple,
      ipPacket(plain).map(({ bytes }) => bytes),
    ),
    lengthError: fc.oneof({ arbitrary: fc.constant(0), weight: 15 }, fc.constantFrom(-1, 1, -30)),
    cut: fc.oneof({ arbitrary: fc.constant(0), weight: 15 }, fc.constantFrom(1, 9, 25)),
  })
  .map(({ port, words, options, flags, protocol, vni: network, inner, lengthError, cut }) => {
    const head =
      port === 4500
        ? [...number(fcSpi(network), 4), ...number(7, 4)]
        : [words, flags, ...number(protocol, 2), ...number(network, 3), 0];
    const whole = join(head, new Uint8Array((port === 6081 || port === 7000 ? options : 0) * 4), inner);
    const bytes = udp(50_000, port, whole.subarray(0, Math.max(0, whole.length - (cut === 25 ? whole.length - 5 : cut))));
    const view = new DataView(bytes.buffer);
    view.setUint16(4, Math.max(0, view.getUint16(4) + lengthError));
    return { protocol: 17, bytes };
  });

/** SPIs of the rules, and IKE's marker. */
function fcSpi(network: number): number {
  return network === 0 ? 0 : network === 1 ? 1 : 0x80000001;
}

const esp = fc.tuple(fc.constantFrom(1, 5, 0x80000001), fc.constantFrom(7, 8), fc.nat(12)).map(([spi, sn, length]) => ({
  protocol: 50,
  bytes: join([...number(spi, 4), ...number(sn, 4)], new Uint8Array(8)).subarray(0, 4 + length),
}));

/** A frame, and how it came. */
export const packet = fc.record({
  frame: fc
    .tuple(
      ethernet(fc.oneof({ arbitrary: ipPacket(fc.oneof({ arbitrary: tunnelled, weight: 5 }, esp, plain)), weight: 9 }, arp)),
      fc.nat(9),
      fc.double({ min: 0, max: 1, noNaN: true }),
    )
    // Padding; and a frame that ends anywhere.
    .map(([whole, kind, share]) =>
      kind === 0 ? whole.subarray(0, Math.floor(whole.length * share)) : kind === 1 ? join(whole, [0xee, 0xee, 0xee]) : whole,
    ),
  port: fc.nat(PORTS - 1),
  vlan: fc.constantFrom(0, 0, ...VLANS),
  tunnel: maybe(id, 3),
});

export type Operation =
  | { readonly kind: "add" | "update"; readonly rule: NewRule }
  | { readonly kind: "delete"; readonly id: bigint };

export const operation: fc.Arbitrary<Operation> = fc.oneof(
  { arbitrary: rule.map((made) => ({ kind: "add" as const, rule: made })), weight: 5 },
  { arbitrary: rule.map((made) => ({ kind: "update" as const, rule: made })), weight: 2 },
  { arbitrary: id.map((gone) => ({ kind: "delete" as const, id: gone })), weight: 2 },
);
