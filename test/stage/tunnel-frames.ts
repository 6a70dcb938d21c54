// Frames of the tunnel tests as scapy expressions.

import type { MacMatch, Tunnel } from "../../src/table/rule.js";
import { ip4, ip6 } from "./tunnel-rig.js";

export const ETHER = "Ether(src='02:00:00:00:00:01',dst='02:00:00:00:00:02')";
/** Of what is inside. */
export const INSIDE = "Ether(src='02:00:00:00:0c:01',dst='02:00:00:00:0c:02')";
export const UDP4 = "IP(src='10.0.0.1',dst='10.1.0.1',ttl=9)/UDP(sport=1000,dport=2000)/Raw(b'x'*31)";
export const UDP6 = "IPv6(src='2001:db8::1',dst='2001:db8::2',hlim=9)/UDP(sport=1000,dport=2000)/Raw(b'y'*40)";
export const ARP = "ARP(psrc='10.0.0.1',pdst='10.1.0.1')";
export const IP4 = "IP(src='192.0.2.1',dst='192.0.2.2')";
export const IP6 = "IPv6(src='2001:db8:f::1',dst='2001:db8:f::2')";

export const OUTER4 = { source: ip4("192.0.2.1"), destination: ip4("192.0.2.2") };
export const OUTER6 = { source: ip6("2001:db8:f::1"), destination: ip6("2001:db8:f::2") };

type GeneveEncap = Extract<Tunnel, { kind: "geneve-encap" }>;

export const geneveEncap = (fields: Partial<GeneveEncap> = {}): GeneveEncap => ({
  kind: "geneve-encap",
  outer: OUTER4,
  vni: 0x123456,
  protocol: 0x6558,
  innerMac: {},
  control: false,
  options: [],
  ...fields,
});

export const vxlanEncap = (outer = OUTER4, vni = 0x123456, innerMac: MacMatch = {}): Tunnel => ({
  kind: "vxlan-encap",
  outer,
  vni,
  innerMac,
});

export const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("hex");

/** `count` options, of these classes, types and words of data. */
export const options = (...all: readonly (readonly [number, number, number])[]) =>
  all.map(([optionClass, type, words]) => ({
    class: optionClass,
    type,
    data: Uint8Array.from({ length: words * 4 }, (_, i) => (type ^ i) & 0xff),
  }));
