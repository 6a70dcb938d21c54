// RFC 6040 section 4.2 through IPSecDec in tunnel mode: all sixteen cells, inside and outside of both families, with and without
// UDP. The table is the RFC's figure 4, and the packets are scapy's, checksums included.

import t from "tap";
import { Fate } from "../../src/reason.js";
import { EspMode } from "../../src/table/sa.js";
import { dec, failuresOf, frames } from "./esp-rig.js";
import { ETHER, hex } from "./tunnel-frames.js";
import { TunnelRig } from "./tunnel-rig.js";

/** Codepoints: Not-ECT 00, ECT(1) 01, ECT(0) 10, CE 11. By inner, then outer in this order; -1: dropped. */
const FIGURE_4 = [
  [0, 0, 0, -1],
  [1, 1, 1, 3],
  [2, 1, 2, 3],
  [3, 3, 3, 3],
] as const;
const POINTS = [0, 1, 2, 3] as const;
const DSCP = 46 << 2;

const ip = (ipv6: boolean, tos: number, outer: boolean) =>
  ipv6
    ? `IPv6(src='2001:db8::${outer ? 1 : 3}',dst='2001:db8::2',tc=${tos},fl=0xabcde)`
    : `IP(src='10.0.0.${outer ? 1 : 3}',dst='10.0.0.2',tos=${tos},id=0xfffe)`;
const cases = [EspMode.tunnel, EspMode.tunnelNatt].flatMap((mode) =>
  [false, true].flatMap((outer6) =>
    [false, true].flatMap((inner6) =>
      POINTS.flatMap((inner) => POINTS.map((outer) => ({ mode, outer6, inner6, inner, outer, ecn: FIGURE_4[inner][outer] }))),
    ),
  ),
);
const made = frames(
  Object.fromEntries(
    cases.flatMap(({ mode, outer6, inner6, inner, outer, ecn }, i) => {
      const packet = (point: number) => `${ip(inner6, DSCP | point, false)}/UDP(sport=1,dport=2)/Raw(b'payload')`;
      const esp = `${ip(outer6, outer, true)}/esp(${packet(inner)},nh=${inner6 ? 41 : 4})`;
      return [
        [`${i}`, `${ETHER}/${mode === EspMode.tunnel ? esp : `into_udp(${esp})`}`],
        [`${i} out`, `${ETHER}/${packet(Math.max(ecn, 0))}`],
      ];
    }),
  ),
);

for (const point of POINTS) {
  t.test(`RFC 6040 4.2: inner ECN ${point}`, { skip: made.skip }, async (t) => {
    cases.forEach(({ mode, outer6, inner6, inner, outer, ecn }, i) => {
      if (inner !== point) return;
      const rig = new TunnelRig();
      rig.add(1, {}, dec(mode));
      const out = rig.receive({ frame: made.frames.get(`${i}`) as Uint8Array, port: 0 })[0];
      const name = `IPv${inner6 ? 6 : 4} in IPv${outer6 ? 6 : 4}${mode === EspMode.tunnel ? "" : " and UDP"}, outer ECN ${outer}`;
      if (ecn >= 0) t.same([out?.fate, hex(out?.frame)], [Fate.tunneled, hex(made.frames.get(`${i} out`))], name);
      else t.same([out?.fate, failuresOf(rig, 1)], [Fate.ecnDrop, { ecn: 1 }], name);
    });
  });
}
