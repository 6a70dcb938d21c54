// Path MTU with ESP (RFC 4303 section 3.3.4, RFC 4301 section 8, conformance.md section 5): the sizes around the largest that
// passes, of every suite and mode. What passes is reckoned here from RFC 4303 section 2, and opened with node:crypto.

import t from "tap";
import { Next, type TunnelSettings } from "../../src/table/rule.js";
import { dissect } from "./dissect.js";
import { part } from "./esp-receiver.js";
import {
  ANY,
  DELTAS,
  enc,
  FORMS,
  type Form,
  frame,
  GCM16,
  type Inner,
  ipHeader,
  largest,
  MODES,
  MTU,
  made,
  open,
  packets,
  quotes,
  TUNNEL_MODE,
  told,
  total,
  type Version,
  versionOf,
} from "./esp-sizes.js";
import { PipelineRig, type Sent } from "./pipeline-rig.js";

t.test("the table of conformance.md", async (t) => {
  const most = (mode: Form["mode"], outer: Version, icv: number) =>
    largest({ suite: ((icv - 8) / 4) << 2, mode, outer, kind: "df" }, MTU);
  t.same([most(1, 4, 16), most(3, 4, 16), most(1, 6, 16)], [1446, 1438, 1426]);
  t.same([most(1, 4, 12), most(1, 4, 8)], [1450, 1454]);
  const overheads = (mode: Form["mode"], outer: Version) =>
    [0, 1, 2, 3].map((size) => total({ suite: GCM16, mode, outer, kind: "df" }, 1000 + size) - 1000 - size).sort((a, b) => a - b);
  t.same(overheads(1, 4), [54, 55, 56, 57]);
  t.same(overheads(3, 4), [62, 63, 64, 65]);
  t.same(overheads(1, 6), [74, 75, 76, 77]);
  t.same(overheads(0, 4), [34, 35, 36, 37]);
});

t.test(
  "every size around the limit, of 12 suites and 4 modes: whole, in fragments, or ICMP with exactly the limit (RFC 4303 3.3.4, 4301 8.2, 4459 3.2)",
  { skip: made.skip },
  async (t) => {
    const shown: Sent[] = [];
    for (const form of FORMS) {
      const { suite, mode, outer, kind } = form;
      const rig = new PipelineRig({ mtu: { 1: MTU } });
      rig.add(1, ANY, enc(form));
      const limit = largest(form, MTU);
      const name = `suite ${suite}, mode ${mode}, over IPv${outer}, ${kind}`;
      for (const delta of DELTAS) {
        const packet = frame(`${kind} ${limit + delta}`).subarray(14);
        const sent = rig.receive({ frame: frame(`${kind} ${limit + delta}`), port: 0 });
        if (suite === GCM16) shown.push(...sent);
        const at = `${name}, ${delta} over`;
        if (delta > 0 && kind !== "clear") {
          const message = told(sent[0] as Sent);
          t.ok(
            sent.length === 1 && sent[0]?.port === 0 && message.mtu === limit && message.version === versionOf(kind),
            `${at}: told ${limit}`,
            { found: message.mtu, wanted: limit },
          );
          t.ok(quotes(message.quote, packet), `${at}: quotes what came in`);
          continue;
        }
        const parts = packets(sent);
        const inside = open(parts, form);
        const outside = mode & TUNNEL_MODE ? 0 : ipHeader(versionOf(kind));
        t.ok(
          sent.every(({ port }) => port === 1) &&
            parts.every((one) => one.length <= MTU && part(one).length === one.length) &&
            parts.length === (delta > 0 ? 2 : 1),
          `${at}: ${delta > 0 ? "two fragments" : "whole"}`,
        );
        if (delta <= 0) {
          t.equal(parts[0]?.length, total(form, limit + delta), at);
          t.equal(part(parts[0] as Buffer).dontFragment, outer === 4 && kind !== "clear", `${at}: DF`);
        }
        t.ok(
          inside.inside.equals(packet.subarray(outside)) && inside.next === (mode & TUNNEL_MODE ? (kind === "v6" ? 41 : 4) : 17),
          `${at}: node:crypto finds the packet`,
        );
      }
      t.ok(rig.imbalance === 0 && rig.inflight === 0, name);
    }
    const { facts } = dissect(shown.map(({ frame }) => frame));
    t.ok(
      facts.every(({ sound, trailer }) => sound && trailer === 0),
      "checksums as scapy computes them",
    );
  },
);

t.test(
  "DF outside: copied, set or cleared, which decides what becomes of a packet that is too big (RFC 4301 8.1)",
  { skip: made.skip },
  async (t) => {
    const cases: readonly [TunnelSettings["df"], Inner, fragments: boolean][] = [
      ["copy", "df", false],
      ["copy", "clear", true],
      ["copy", "v6", false],
      ["set", "clear", false],
      ["set", "df", false],
      ["clear", "df", true],
      ["clear", "v6", true],
    ];
    for (const [df, kind, fragments] of cases) {
      for (const outer of [4, 6] as const) {
        const form = { suite: GCM16, mode: 1 as const, outer, kind };
        const rig = new PipelineRig({ mtu: { 1: MTU } });
        rig.add(1, ANY, enc(form), Next.forward, { df });
        const limit = largest(form, MTU);
        const name = `${df}, ${kind} over IPv${outer}`;
        const [fits] = packets(rig.receive({ frame: frame(`${kind} ${limit}`), port: 0 }));
        t.equal(part(fits as Buffer).dontFragment, outer === 4 && !fragments, `${name}: DF of what fits`);
        const sent = rig.receive({ frame: frame(`${kind} ${limit + 1}`), port: 0 });
        t.same(
          sent.map(({ port }) => port),
          fragments ? [1, 1] : [0],
          name,
        );
        if (fragments) t.ok(open(packets(sent), form).inside.equals(frame(`${kind} ${limit + 1}`).subarray(14)), name);
        else t.equal(told(sent[0] as Sent).mtu, limit, name);
        t.equal(rig.imbalance, 0);
      }
    }
  },
);

t.test("the smallest MTUs: 68 (RFC 791) and 1,280 (RFC 8200 5)", { skip: made.skip }, async (t) => {
  const form = { suite: GCM16, mode: 1 as const, outer: 4 as const, kind: "df" as const };
  const at = (mtu: number, name: string) => {
    const rig = new PipelineRig({ mtu: { 1: mtu } });
    rig.add(1, ANY, enc(form));
    const sent = rig.receive({ frame: frame(name), port: 0 });
    t.equal(rig.imbalance, 0);
    return { rig, sent };
  };
  t.equal(told(at(124, "df 1200").sent[0] as Sent).mtu, 70);
  t.same(at(123, "df 1200").sent, [], "66 bytes: nobody can be told");
  t.equal(at(124, "df 70").sent[0]?.port, 1);
  t.same(at(68, "df 68").sent, []);
  const pieces = packets(at(68, "clear 1200").sent);
  t.ok(
    pieces.every((one) => one.length <= 68) && open(pieces, form).inside.equals(frame("clear 1200").subarray(14)),
    "68 with DF clear",
  );
  for (const mode of MODES) {
    for (const outer of mode & TUNNEL_MODE ? ([4, 6] as const) : ([6] as const)) {
      const six = { suite: GCM16, mode, outer, kind: "v6" as const };
      const name = `mode ${mode} over IPv${outer}`;
      const rig = new PipelineRig({ mtu: { 1: 1300 } });
      rig.add(1, ANY, enc(six));
      const parts = packets(rig.receive({ frame: frame("v6 1280"), port: 0 }));
      t.equal(parts.length, 2, `${name}: 1,280 bytes are carried, in fragments (RFC 2473 7.1)`);
      t.ok(open(parts, six).inside.equals(frame("v6 1280").subarray(mode & TUNNEL_MODE ? 14 : 54)), name);
      t.equal(told(rig.receive({ frame: frame("v6 1281"), port: 0 })[0] as Sent).mtu, 1280, `${name}: 1,281 are told 1,280`);
      t.equal(rig.imbalance, 0);
    }
  }
});
