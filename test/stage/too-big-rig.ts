// Packets of a given size and the tunnels that make them too big, for too-big.test.ts.

import type { Tunnel } from "../../src/table/rule.js";
import type { Facts } from "./dissect.js";
import type { Sent } from "./pipeline-rig.js";
import { ip4, ip6 } from "./tunnel-rig.js";

export const OUTER = {
  4: { source: ip4("192.0.2.1"), destination: ip4("192.0.2.2") },
  6: { source: ip6("2001:db8:f::1"), destination: ip6("2001:db8:f::2") },
};
export const MTU = 1500;
/** Bytes that conformance.md's table of overheads names. */
export const OVERHEAD = { 4: 50, 6: 70 };
export const TAG = 4;
export const OPTION = { class: 0x102, type: 1, data: new Uint8Array(8) };
export const OPTION_BYTES = 12;

export type Version = 4 | 6;
export const geneve = (version: Version, options: readonly (typeof OPTION)[] = []): Tunnel => ({
  kind: "geneve-encap",
  outer: OUTER[version],
  vni: 7,
  protocol: 0x6558,
  innerMac: {},
  control: false,
  options,
});
export const vxlan = (version: Version): Tunnel => ({ kind: "vxlan-encap", outer: OUTER[version], vni: 7, innerMac: {} });

export const ETHER = "Ether(src='02:00:00:00:00:01', dst='02:00:00:00:00:02')";
export const TAGS = "Dot1Q(vlan=100)";
export const raw = (length: number) => `Raw((bytes(range(251))*50)[:${length}])`;
export type Inner = "df" | "clear" | "v6";
/** A packet whose IP length is given. */
export const inner = (kind: Inner, length: number) =>
  kind === "v6"
    ? `IPv6(src='2001:db8::1',dst='2001:db8::2')/UDP(sport=1,dport=9)/${raw(length - 48)}`
    : `IP(src='10.0.0.1',dst='10.1.0.1',id=5${kind === "df" ? ",flags='DF'" : ""})/UDP(sport=1,dport=9)/${raw(length - 28)}`;

export const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");
export const frames = (sent: readonly Sent[]) => sent.map(({ frame }) => frame);

/** What an ICMP error about a packet must say (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 (c)): its sender's view. */
export function told(kind: Inner, packet: Uint8Array, mtu: number, vlans: readonly number[] = []): Partial<Facts> {
  const v6 = kind === "v6";
  const quote = hex(packet.subarray(14 + vlans.length * TAG)).slice(0, 2 * (v6 ? 1280 - 48 : 576 - 28));
  return {
    source: "02:00:00:00:00:02",
    destination: "02:00:00:00:00:01",
    vlans,
    version: v6 ? 6 : 4,
    length: v6 ? 1280 : 576,
    ipSource: v6 ? "2001:db8::2" : "10.1.0.1",
    ipDestination: v6 ? "2001:db8::1" : "10.0.0.1",
    sound: true,
    trailer: 0,
    icmp: { type: v6 ? 2 : 3, code: v6 ? 0 : 4, mtu, quote },
  };
}
