// The session table after the tunnels: a session of an inner flow is hit when the flow comes out of a tunnel (datapath.md
// "Tunnel stage"), tunnel stage to decision, with frames by scapy.

import t from "tap";
import { DEFAULTS } from "../../src/config/defaults.js";
import { BURST, Burst } from "../../src/memory/burst.js";
import { Frames } from "../../src/memory/frames.js";
import { Grace } from "../../src/memory/grace.js";
import { wordsSize } from "../../src/memory/worker-words.js";
import { Fate } from "../../src/reason.js";
import { Copies } from "../../src/stage/copy.js";
import { parse } from "../../src/stage/parse.js";
import { decide } from "../../src/stage/session.js";
import { TunnelStage } from "../../src/stage/tunnel.js";
import { hashKey } from "../../src/table/flow.js";
import { Routes } from "../../src/table/route.js";
import { Next, type Tunnel } from "../../src/table/rule.js";
import { RuleLookup } from "../../src/table/rule-lookup.js";
import { allocateRules } from "../../src/table/rule-memory.js";
import { RuleTable } from "../../src/table/rule-table.js";
import { Action, type NewSession, State } from "../../src/table/session.js";
import { SessionLookup } from "../../src/table/session-lookup.js";
import { allocateSessions } from "../../src/table/session-memory.js";
import { SessionTable } from "../../src/table/session-table.js";
import { compile } from "../../src/tunnel/compile.js";
import { load, NEXT_HOPS, newRing, PORT_OF, topology } from "./device.js";
import { scapy } from "./scapy.js";
import { ETHER, hex, INSIDE, IP4, IP6 } from "./tunnel-frames.js";
import { ip4, ip6 } from "./tunnel-rig.js";

const START = 1_700_000_000_000;
const INNER4 = { there: "IP(src='10.0.0.1',dst='10.1.0.1')", back: "IP(src='10.1.0.1',dst='10.0.0.1')" };
const INNER6 = { there: "IPv6(src='2001:db8::1',dst='2001:db8::2')", back: "IPv6(src='2001:db8::2',dst='2001:db8::1')" };
const TUNNELS: Record<string, string> = {
  geneve4: `${IP4}/UDP(dport=6081)/GENEVE(vni=1,proto=0x6558)/${INSIDE}`,
  geneve6: `${IP6}/UDP(dport=6081)/GENEVE(vni=1,proto=0x6558,options=[GeneveOptions(classid=1,type=1,length=1,data=b'abcd')])/${INSIDE}`,
  vxlan4: `${IP4}/UDP(dport=4789)/VXLAN(flags=8,vni=1)/${INSIDE}`,
  vxlan6: `${IP6}/UDP(dport=4789)/VXLAN(flags=8,vni=1)/${INSIDE}`,
  "geneve-ip": `${IP4}/UDP(dport=6081)/GENEVE(vni=1,proto=PROTO)`,
  twice: `${IP4}/UDP(dport=4789)/VXLAN(flags=8,vni=2)/${ETHER}/${IP6}/UDP(dport=6081)/GENEVE(vni=1,proto=0x6558)/${INSIDE}`,
};
const FLOWS = [4, 6].flatMap((version) => (["udp", "tcp"] as const).map((protocol) => ({ version, protocol })));
const SEGMENTS: Record<string, string> = {
  data: "flags='PA',seq=100,ack=200",
  syn: "flags='S',seq=99",
  "fin there": "flags='FA',seq=110,ack=200",
  "fin back": "flags='FA',seq=200,ack=111",
  "last ack": "flags='A',seq=111,ack=201",
};
const expressions: Record<string, string> = {};
for (const [tunnel, outside] of Object.entries(TUNNELS)) {
  for (const { version, protocol } of FLOWS) {
    for (const way of ["there", "back"] as const) {
      for (const tag of ["", "Dot1Q(vlan=100)/"]) {
        if (tag !== "" && tunnel === "geneve-ip") continue;
        const segments = protocol === "tcp" ? SEGMENTS : { data: "" };
        for (const [name, fields] of Object.entries(segments)) {
          const ports = way === "there" ? "sport=1234,dport=80" : "sport=80,dport=1234";
          const l4 = protocol === "tcp" ? `TCP(${ports},${fields})` : `UDP(${ports})`;
          const packet = `${(version === 4 ? INNER4 : INNER6)[way]}/${l4}/Raw(b'${name === "data" ? "0123456789" : ""}')`;
          const ethernet = tunnel === "geneve-ip" ? ETHER : `${INSIDE}/${tag}`.replace(/\/$/, "");
          const key = [tunnel, version, protocol, way, tag === "" ? "plain" : "tagged", name].join(" ");
          expressions[key] = `${ETHER}/${outside.replace("PROTO", version === 4 ? "0x0800" : "0x86dd")}/${tag}${packet}`;
          expressions[`${key} inside`] = `${ethernet}/${packet}`;
        }
      }
    }
  }
}
const made = scapy(expressions);

function device(version: number, protocol: "udp" | "tcp", vlan: number) {
  const words = new Int32Array(new SharedArrayBuffer(wordsSize(1)));
  const grace = new Grace(words, 1);
  const key = hashKey(new Uint8Array(12).fill(9));
  const memory = allocateSessions(16, 1, key);
  const sessions = new SessionTable(memory, grace, { duplicateFlow: "reject", portOf: PORT_OF, now: START, seed: 1 });
  const session: NewSession = {
    id: 1n,
    inLif: 1,
    inVlan: vlan,
    outLif: 2,
    outVlan: vlan,
    ipv6: version === 6,
    source: version === 4 ? ip4("10.0.0.1") : ip6("2001:db8::1"),
    destination: version === 4 ? ip4("10.1.0.1") : ip6("2001:db8::2"),
    sourcePort: 1234,
    destinationPort: 80,
    protocol: protocol === "udp" ? 17 : 6,
    action: Action.forward,
    nextHop: 0,
    timeout: 10,
  };
  sessions.add(session, START);
  const rules = allocateRules(16, 1, key);
  const routes = new Routes([]);
  const table = new RuleTable(rules, grace, { compile: (rule, record) => compile(rule, record, routes), failClosed: 0 });
  const decap = (id: bigint, kind: "geneve" | "vxlan", vni: number, next: Next) => {
    const tunnel: Tunnel = { kind: `${kind}-decap` };
    const header = kind === "geneve" ? ({ kind, vni, protocol: 0 } as const) : ({ kind, vni } as const);
    table.add({ id, match: { header }, tunnel, next, settings: { ...DEFAULTS.tunnel, innerVlan: "keep" } }, START);
  };
  decap(1n, "geneve", 1, Next.none);
  decap(2n, "vxlan", 1, Next.recirculate);
  decap(3n, "vxlan", 2, Next.recirculate);
  const stage = new TunnelStage(new RuleLookup(rules, 0), routes, topology, 0, 1);
  const lookup = new SessionLookup(memory, 0);
  const burst = new Burst(new Frames(new ArrayBuffer(Frames.size(BURST))));
  const ring = newRing();
  const copies = new Copies(NEXT_HOPS, new Int32Array(NEXT_HOPS.length));
  return {
    sessions,
    receive(name: string, port: number) {
      load(burst, [{ frame: made.frames.get(name) as Uint8Array, port, time: START }]);
      parse(burst, topology, !stage.run(burst));
      lookup.lookup(burst);
      decide(burst, lookup, ring, copies);
      const start = burst.offset[0] as number;
      return [burst.fate[0], burst.egress[0], hex(burst.frames.bytes.subarray(start, start + (burst.length[0] as number)))];
    },
  };
}

for (const tunnel of Object.keys(TUNNELS)) {
  t.test(`a session of a flow inside ${tunnel} is hit both ways, counted by its inner bytes`, { skip: made.skip }, async (t) => {
    for (const { version, protocol } of FLOWS) {
      for (const [kind, vlan] of [
        ["plain", 0],
        ["tagged", 100],
      ] as const) {
        if (vlan !== 0 && tunnel === "geneve-ip") continue;
        const { receive, sessions } = device(version, protocol, vlan);
        const inside = (way: string) =>
          made.frames.get(`${[tunnel, version, protocol, way, kind, "data"].join(" ")} inside`) as Uint8Array;
        const name = (way: string) => [tunnel, version, protocol, way, kind, "data"].join(" ");
        t.same(receive(name("there"), 0), [Fate.forwarded, 1, hex(inside("there"))], name("there"));
        t.same(receive(name("back"), 1), [Fate.forwarded, 0, hex(inside("back"))], name("back"));
        t.match(sessions.get(1n), {
          inPackets: 1,
          outPackets: 1,
          inBytes: inside("there").length,
          outBytes: inside("back").length,
        });
        // Not its interface, and not its direction.
        t.equal(receive(name("there"), 2)[0], Fate.noSession);
        t.equal(receive(name("back"), 0)[0], Fate.noSession);
      }
    }
  });

  t.test(
    `TCP inside ${tunnel}: its state follows, and control segments go to the application`,
    { skip: made.skip },
    async (t) => {
      for (const version of [4, 6]) {
        const { receive, sessions } = device(version, "tcp", 0);
        const name = (way: string, segment: string) => [tunnel, version, "tcp", way, "plain", segment].join(" ");
        const step = (way: "there" | "back", segment: string) => receive(name(way, segment), way === "there" ? 0 : 1).slice(0, 2);
        t.same(step("there", "syn"), [Fate.tcpControl, 4]);
        t.equal(sessions.get(1n)?.state, State.established);
        t.same(step("there", "fin there"), [Fate.tcpControl, 4]);
        t.equal(sessions.get(1n)?.state, State.closing1);
        t.same(step("back", "fin back"), [Fate.tcpControl, 5]);
        t.equal(sessions.get(1n)?.state, State.closing2);
        t.same(step("there", "last ack"), [Fate.forwarded, 1]);
        t.equal(sessions.get(1n)?.state, State.closed, "both FINs are acknowledged");
      }
    },
  );
}
