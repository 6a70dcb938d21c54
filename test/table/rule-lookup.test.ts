// The lookup against a matcher that asks every rule (rule-model.ts).

import fc from "fast-check";
import t from "tap";
import { DEFAULTS } from "../../src/config/defaults.js";
import { type NewRule, Next, type RuleMatch } from "../../src/table/rule.js";
import { SHAPES } from "../../src/table/rule-memory.js";
import { RuleStatus } from "../../src/table/rule-table.js";
import { frameOf } from "../stage/packet.js";
import { best, view } from "./rule-model.js";
import { operation, packet, rule } from "./rule-packets.js";
import { RuleRig } from "./rule-rig.js";

t.test("any rules, any packets, adds, updates and deletes in between: the rule that the text names", async (t) => {
  const met = new Map<string, number>();
  fc.assert(
    fc.property(
      fc.array(fc.noBias(rule), { minLength: 12, maxLength: 30 }),
      fc.array(fc.tuple(fc.noBias(operation), fc.array(fc.noBias(packet), { minLength: 1, maxLength: 6 })), {
        minLength: 10,
        maxLength: 40,
      }),
      (first, turns) => {
        const rig = new RuleRig();
        const rules = new Map<bigint, NewRule>();
        first.forEach((made, i) => {
          const id = BigInt(i + 1);
          rig.table.add({ ...made, id }, 0);
          rules.set(id, { ...made, id });
        });
        for (const [turn, packets] of turns) {
          if (turn.kind === "delete") {
            void rig.table.delete(turn.id, 0);
            rig.table.age(0);
            rules.delete(turn.id);
          } else {
            const known = rules.has(turn.rule.id);
            const wanted = (turn.kind === "add") === known ? (known ? RuleStatus.exists : RuleStatus.missing) : RuleStatus.done;
            const status = turn.kind === "add" ? rig.table.add(turn.rule, 0) : rig.table.update(turn.rule);
            if (status !== wanted) throw new Error(`${turn.kind}: status ${status}`);
            if (status === RuleStatus.done) rules.set(turn.rule.id, turn.rule);
          }
          for (const { frame, ...arrived } of packets) {
            const seen = view(frame);
            // The stage asks about nothing shorter; a tunnel that is gone was not applied.
            if (seen === undefined || (arrived.tunnel !== undefined && !rules.has(arrived.tunnel))) continue;
            const wanted = best(rules.values(), seen, arrived);
            const found = rig.find(frame, arrived);
            const name = wanted?.match.header?.kind ?? (wanted === undefined ? "none" : "plain");
            met.set(name, (met.get(name) ?? 0) + 1);
            if (found !== (wanted === undefined ? undefined : Number(wanted.id))) {
              const shown = (id: unknown) =>
                JSON.stringify(rules.get(BigInt((id as number | undefined) ?? 0)), (_, value) =>
                  typeof value === "bigint"
                    ? `${value}`
                    : value instanceof Uint8Array
                      ? Buffer.from(value).toString("hex")
                      : value,
                );
              throw new Error(`${shown(found)} instead of ${shown(wanted?.id)} for ${Buffer.from(frame).toString("hex")}`);
            }
          }
        }
      },
    ),
    { numRuns: 600, seed: 8926 },
  );
  t.comment([...met].map(([name, count]) => `${name} ${count}`).join(", "));
  for (const kind of ["none", "plain", "esp", "geneve", "vxlan"]) t.ok((met.get(kind) ?? 0) > 100, `${kind}: ${met.get(kind)}`);
});

const ruleOf = (id: number, match: RuleMatch): NewRule => ({
  id: BigInt(id),
  match,
  next: Next.forward,
  tunnel: { kind: "vxlan-encap", outer: { source: new Uint8Array(4), destination: new Uint8Array(4) }, vni: 1, innerMac: {} },
  settings: DEFAULTS.tunnel,
});
const FRAME = frameOf({
  ipv6: false,
  udp: true,
  source: Uint8Array.of(10, 0, 0, 1),
  destination: Uint8Array.of(10, 0, 0, 2),
  sourcePort: 1,
  destinationPort: 2,
});
const HERE = { port: 0, vlan: 0, tunnel: undefined };
const to = (length: number) => ({
  ipv6: false,
  destination: {
    address: Uint8Array.of(10, 0, 0, 2).map((byte, i) => byte & ~(0xff >> Math.min(8, Math.max(0, length - 8 * i)))),
    length,
  },
});
const from = { ipv6: false, source: { address: Uint8Array.of(10, 0, 0, 1), length: 32 } };

t.test("equal ranks of different shapes: the older rule, which an update keeps older", async (t) => {
  const rig = new RuleRig();
  rig.table.add(ruleOf(1, { ip: from }), 0);
  rig.table.add(ruleOf(2, { ip: to(32) }), 0);
  t.equal(rig.find(FRAME, HERE), 1);
  rig.table.update(ruleOf(1, { mac: { source: Uint8Array.of(9, 9, 9, 9, 9, 9) } }));
  t.equal(rig.find(FRAME, HERE), 2);
  rig.table.update(ruleOf(1, { ip: from }));
  t.equal(rig.find(FRAME, HERE), 1, "it was created first");
  void rig.table.delete(1n, 0);
  t.equal(rig.find(FRAME, HERE), 2);
  rig.table.add(ruleOf(1, { ip: from }), 0);
  t.equal(rig.find(FRAME, HERE), 2, "created anew, it is the younger one");
});

t.test("identical matches: the older rule; the next takes over when it goes, and when it comes to look elsewhere", async (t) => {
  const rig = new RuleRig();
  for (const id of [1, 2, 3, 4]) rig.table.add(ruleOf(id, { ip: to(24) }), 0);
  t.equal(rig.find(FRAME, HERE), 1);
  void rig.table.delete(1n, 0);
  t.equal(rig.find(FRAME, HERE), 2);
  rig.table.update(ruleOf(2, { ip: to(23) }));
  t.equal(rig.find(FRAME, HERE), 3);
  rig.table.update(ruleOf(2, { ip: to(24) }));
  t.equal(rig.find(FRAME, HERE), 2);
  rig.table.update(ruleOf(4, { ip: to(24) }));
  t.equal(rig.find(FRAME, HERE), 2);
  for (const id of [3n, 2n]) void rig.table.delete(id, 0);
  t.equal(rig.find(FRAME, HERE), 4);
  void rig.table.delete(4n, 0);
  t.equal(rig.find(FRAME, HERE), undefined);
});

t.test("every prefix length: what is in it, nothing that differs in its last bit, and the longest wins", async (t) => {
  for (const ipv6 of [false, true]) {
    const bytes = ipv6 ? 16 : 4;
    const address = Uint8Array.from({ length: bytes }, (_, i) => 0x5a ^ i);
    const frame = (destination: Uint8Array) =>
      frameOf({ ipv6, udp: true, source: new Uint8Array(bytes), destination, sourcePort: 1, destinationPort: 2 });
    const flipped = (bit: number) => address.map((byte, i) => (i === bit >> 3 ? byte ^ (0x80 >> (bit & 7)) : byte));
    const rig = new RuleRig(256);
    for (let length = 1; length <= bytes * 8; length++) {
      const masked = address.map((byte, i) => byte & ~(0xff >> Math.min(8, Math.max(0, length - 8 * i))));
      t.equal(rig.table.add(ruleOf(length, { ip: { ipv6, destination: { address: masked, length } } }), 0), RuleStatus.done);
    }
    const found = Array.from({ length: bytes * 8 }, (_, bit) => rig.find(frame(flipped(bit)), HERE));
    t.same(found, [undefined, ...Array.from({ length: bytes * 8 - 1 }, (_, bit) => bit + 1)]);
    t.equal(rig.find(frame(address), HERE), bytes * 8);
  }
});

t.test(`${SHAPES} shapes and no more: the rule that needs one more is refused, and has its place when one is free`, async (t) => {
  const rig = new RuleRig(300);
  const shape = (n: number): RuleMatch => ({
    ip: { ...to(1 + (n % 32)), source: { address: Uint8Array.of(0x80, 0, 0, 0), length: 1 + (n >> 5) } },
  });
  for (let n = 0; n < SHAPES; n++) t.equal(rig.table.add(ruleOf(n + 1, shape(n)), 0), RuleStatus.done);
  t.equal(rig.table.add(ruleOf(900, { mac: { source: new Uint8Array(6) } }), 0), RuleStatus.shapes);
  t.equal(rig.table.add(ruleOf(0, { mac: { source: new Uint8Array(6) } }), 0), RuleStatus.shapes);
  t.equal(rig.table.update(ruleOf(1, { mac: { source: new Uint8Array(6) } })), RuleStatus.shapes);
  t.equal(rig.table.size, SHAPES);
  t.equal(rig.table.add(ruleOf(901, shape(0)), 0), RuleStatus.done, "of a shape that is there");
  void rig.table.delete(1n, 0);
  void rig.table.delete(901n, 0);
  rig.table.age(1);
  t.equal(rig.table.add(ruleOf(900, { mac: { source: Uint8Array.of(2, 0, 0, 0, 0, 1) } }), 0), RuleStatus.done);
  t.equal(rig.find(FRAME, HERE), 900);
});

t.test("a rule of an id that was used before starts with counters of its own", async (t) => {
  const rig = new RuleRig();
  rig.table.add(ruleOf(1, {}), 0);
  rig.table.add(ruleOf(2, { tunnelId: 1n }), 0);
  rig.find(FRAME, HERE);
  rig.lookup.lanes.fill(5);
  const gone = rig.table.delete(1n, 0);
  rig.table.add(ruleOf(1, {}), 0);
  t.equal((await gone)?.counters.inPackets, 5);
  t.equal(rig.table.get(1n)?.counters.inPackets, 0);
  t.equal(rig.find(FRAME, { ...HERE, tunnel: 1n }), 2, "and is the tunnel that others match on");
});
