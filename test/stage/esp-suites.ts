// What the tests of all suites and modes go through: 12 suites, with and without extended sequence numbers, 4 modes, IPv4 and
// IPv6 inside and outside, and payloads of every size around the alignment. The twelve rules of a rig differ by VLAN.

import type { OuterAddresses } from "../../src/table/rule.js";
import { EspMode } from "../../src/table/sa.js";
import { SUITES } from "./esp-rig.js";
import { OUTER4, OUTER6 } from "./tunnel-frames.js";

export interface Way {
  readonly mode: EspMode;
  readonly inner: 4 | 6;
  readonly outer: 4 | 6;
  readonly vlan: number;
}

export const WAYS: readonly Way[] = [EspMode.transport, EspMode.tunnel, EspMode.transportNatt, EspMode.tunnelNatt]
  .flatMap((mode) => ([4, 6] as const).flatMap((outer) => ([4, 6] as const).map((inner) => ({ mode, outer, inner }))))
  .filter(({ mode, outer, inner }) => isTunnel(mode) || outer === inner)
  .map((way, i) => ({ ...way, vlan: 100 + i }));

export function isTunnel(mode: EspMode): boolean {
  return mode === EspMode.tunnel || mode === EspMode.tunnelNatt;
}

export function isNatt(mode: EspMode): boolean {
  return mode === EspMode.transportNatt || mode === EspMode.tunnelNatt;
}

export const outerOf = ({ outer }: Way): OuterAddresses => (outer === 4 ? OUTER4 : OUTER6);

export const wayName = ({ mode, outer, inner }: Way): string =>
  `${["transport", "tunnel", "transport NAT-T", "tunnel NAT-T"][mode]} ${inner}in${outer}`;

export const SIZES: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 1400];

export const CASES = SUITES.flatMap((suite) => [false, true].map((esn) => ({ suite, esn })));

export const spiOf = (suite: number, esn: boolean, { vlan }: Way): number => 0x1000 + suite * 0x100 + (esn ? 0x80 : 0) + vlan;

/** The last number before the first packet: with extended numbers, the low word wraps on the way through the sizes. */
export const START = 5 * 2 ** 32 - 4;

/** scapy expressions of a packet of each size: `4/7`. */
export const INNER: Readonly<Record<string, string>> = Object.fromEntries(
  SIZES.flatMap((size) => [
    [`4/${size}`, `IP(src='10.0.0.1',dst='10.1.0.1',tos=0xb8,id=${size},flags='DF')/UDP(sport=7,dport=9)/Raw(b'v'*${size})`],
    [`6/${size}`, `IPv6(src='2001:db8::1',dst='2001:db8::2',tc=0xb8,fl=77)/UDP(sport=7,dport=9)/Raw(b'w'*${size})`],
  ]),
);
