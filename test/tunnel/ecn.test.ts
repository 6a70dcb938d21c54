// RFC 6040 section 4.2: decapsulation combines the ECN fields; all sixteen cells, through both tunnels, inside and outside of
// both families. The table is the RFC's figure 4, and the frames are scapy's, checksums included.

import t from "tap";
import { Fate } from "../../src/reason.js";
import { Next } from "../../src/table/rule.js";
import { scapy } from "../stage/scapy.js";
import { ETHER, hex, INSIDE } from "../stage/tunnel-frames.js";
import { TunnelRig } from "../stage/tunnel-rig.js";

/** Codepoints: Not-ECT 00, ECT(1) 01, ECT(0) 10, CE 11. */
const POINTS = ["Not-ECT", "ECT(1)", "ECT(0)", "CE"] as const;
type Point = (typeof POINTS)[number];
const OUTER: readonly Point[] = ["Not-ECT", "ECT(0)", "ECT(1)", "CE"];
const FIGURE_4: Record<Point, readonly (Point | "drop")[]> = {
  "Not-ECT": ["Not-ECT", "Not-ECT", "Not-ECT", "drop"],
  "ECT(0)": ["ECT(0)", "ECT(0)", "ECT(1)", "CE"],
  "ECT(1)": ["ECT(1)", "ECT(1)", "ECT(1)", "CE"],
  CE: ["CE", "CE", "CE", "CE"],
};

const DSCP = 46 << 2;
const ip = (ipv6: boolean, tos: number, outer: boolean) =>
  ipv6
    ? `IPv6(src='2001:db8::${outer ? 1 : 3}',dst='2001:db8::2',tc=${tos},fl=0xabcde)`
    : `IP(src='10.0.0.${outer ? 1 : 3}',dst='10.0.0.2',tos=${tos},id=0xfffe)`;
const TUNNELS = {
  geneve: "UDP(dport=6081)/GENEVE(vni=1,proto=0x6558)",
  "geneve-ip": "UDP(dport=6081)/GENEVE(vni=1,proto=PROTO)",
  vxlan: "UDP(dport=4789)/VXLAN(flags=8,vni=1)",
};

const cases = (["geneve", "geneve-ip", "vxlan"] as const).flatMap((kind) =>
  [false, true].flatMap((outer6) =>
    [false, true].flatMap((inner6) =>
      POINTS.flatMap((inner) =>
        OUTER.map((outer, k) => ({ kind, outer6, inner6, inner, outer, result: FIGURE_4[inner][k] as Point | "drop" })),
      ),
    ),
  ),
);
const expressions: Record<string, string> = {};
cases.forEach(({ kind, outer6, inner6, inner, outer, result }, i) => {
  const packet = (point: Point) => `${ip(inner6, DSCP | POINTS.indexOf(point), false)}/UDP(sport=1,dport=2)/Raw(b'payload')`;
  const ethernet = kind === "geneve-ip" ? "" : `${INSIDE}/`;
  const tunnel = TUNNELS[kind].replace("PROTO", inner6 ? "0x86dd" : "0x0800");
  expressions[`${i} in`] = `${ETHER}/${ip(outer6, POINTS.indexOf(outer), true)}/${tunnel}/${ethernet}${packet(inner)}`;
  if (result !== "drop") expressions[`${i} out`] = `${kind === "geneve-ip" ? ETHER : INSIDE}/${packet(result)}`;
});
const made = scapy(expressions);

for (const point of POINTS) {
  t.test(`RFC 6040 4.2: inner ${point}`, { skip: made.skip }, async (t) => {
    cases.forEach(({ kind, outer6, inner6, inner, outer, result }, i) => {
      if (inner !== point) return;
      const rig = new TunnelRig();
      rig.add(1, {}, { kind: kind === "vxlan" ? "vxlan-decap" : "geneve-decap" }, Next.none);
      const out = rig.receive({ frame: made.frames.get(`${i} in`) as Uint8Array, port: 0 })[0];
      const name = `${kind}, IPv${inner6 ? 6 : 4} in IPv${outer6 ? 6 : 4}, outer ${outer}`;
      if (result === "drop") t.equal(out?.fate, Fate.ecnDrop, name);
      else t.same([out?.fate, hex(out?.frame)], [Fate.count, hex(made.frames.get(`${i} out`))], name);
    });
  });
}
