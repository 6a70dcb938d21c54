// `memory/<tunnel>/<size>` and `…/10k`: tunnels on the memory port, one worker in its own thread; every frame matches a rule
// and leaves straight out. The size is that of the frame inside, with FCS; imix is 7 × 64, 4 × 594, 1 × 1518. `10k`: 10,000
// rules by destination address or VNI, flows in random order over all of them.
//
// `memory/rules/…`: what matching costs: 10 rules of 10 shapes, and 65,536 of the same shapes.

import { randomBytes } from "node:crypto";
import { openAead } from "../aead/choose.js";
import { DEFAULTS } from "../config/defaults.js";
import { createCore } from "../main/core.js";
import { BURST, Burst } from "../memory/burst.js";
import { Frames, slotStart } from "../memory/frames.js";
import { Grace } from "../memory/grace.js";
import { wordsSize } from "../memory/worker-words.js";
import { packFrames } from "../port/memory.js";
import { Topology } from "../stage/topology.js";
import { TunnelStage } from "../stage/tunnel.js";
import { hashKey } from "../table/flow.js";
import { Routes } from "../table/route.js";
import { type NewRule, Next, type RuleMatch, type Tunnel } from "../table/rule.js";
import { RuleLookup } from "../table/rule-lookup.js";
import { allocateRules } from "../table/rule-memory.js";
import { RuleStatus, RuleTable } from "../table/rule-table.js";
import { SaLookup } from "../table/sa-lookup.js";
import { allocateSas } from "../table/sa-memory.js";
import { SaTable } from "../table/sa-table.js";
import { compile } from "../tunnel/compile.js";
import { benchConfig } from "./config.js";
import { forwardingRates } from "./memory.js";
import { type Bench, type BenchOptions, type Result, result } from "./result.js";

export type Size = number | "imix";

const FLOWS = 32_768;
const MANY = 10_000;
const FCS = 4;
const IMIX = [64, 64, 64, 64, 64, 64, 64, 594, 594, 594, 594, 1518];
export const OUTER = { source: Uint8Array.of(192, 0, 2, 1), destination: Uint8Array.of(192, 0, 2, 2) };
export const SIZES: readonly Size[] = [64, 512, 1400, "imix"];

interface Scenario {
  readonly name: string;
  /** Of `count` rules, the nth; frame k is for rule k % count. */
  readonly rule: (n: number, count: number) => NewRule[];
  /** Frames arrive encapsulated by the nth of these. */
  readonly before?: (n: number) => Tunnel;
}

const geneve = (n: number): Tunnel => ({
  kind: "geneve-encap",
  outer: OUTER,
  vni: n + 1,
  protocol: 0x6558,
  innerMac: {},
  control: false,
  options: [],
});
const vxlan = (n: number): Tunnel => ({ kind: "vxlan-encap", outer: OUTER, vni: n + 1, innerMac: {} });
export const rule = (id: number, match: RuleMatch, tunnel: Tunnel, next = Next.forward): NewRule => ({
  id: BigInt(id),
  match,
  next,
  tunnel,
  settings: DEFAULTS.tunnel,
});
export const toHost = (n: number): RuleMatch => ({ ip: { ipv6: false, destination: { address: destination(n), length: 32 } } });
const toOuter = { ipv6: false, destination: { address: OUTER.destination, length: 32 } };
const inGeneve = (n: number): RuleMatch => ({ ip: toOuter, header: { kind: "geneve", vni: n + 1, protocol: 0 } });
const inVxlan = (n: number): RuleMatch => ({ ip: toOuter, header: { kind: "vxlan", vni: n + 1 } });

const SCENARIOS: readonly Scenario[] = [
  { name: "geneve-encap", rule: (n) => [rule(n + 1, toHost(n), geneve(n))] },
  { name: "geneve-decap", rule: (n) => [rule(n + 1, inGeneve(n), { kind: "geneve-decap" })], before: geneve },
  { name: "vxlan-encap", rule: (n) => [rule(n + 1, toHost(n), vxlan(n))] },
  { name: "vxlan-decap", rule: (n) => [rule(n + 1, inVxlan(n), { kind: "vxlan-decap" })], before: vxlan },
  {
    name: "chain-decap-encap",
    rule: (n, count) => [
      rule(n + 1, inGeneve(n), { kind: "geneve-decap" }, Next.recirculate),
      rule(count + n + 1, { tunnelId: BigInt(n + 1) }, vxlan(n)),
    ],
    before: geneve,
  },
];

export const tunnelBenches: readonly Bench[] = [
  ...SCENARIOS.flatMap((scenario) => [
    ...SIZES.map((size) => bench(`memory/${scenario.name}/${size}`, scenario, size, 1)),
    bench(`memory/${scenario.name}/10k`, scenario, 64, MANY),
  ]),
  matchingBench(),
];

function bench(name: string, scenario: Scenario, size: Size, count: number): Bench {
  return {
    names: [name],
    unavailable: () => undefined,
    run: async (options) => [await measure(name, scenario, size, count, options)],
  };
}

async function measure(name: string, scenario: Scenario, size: Size, count: number, options: BenchOptions): Promise<Result> {
  const rules = Array.from({ length: count }, (_, n) => scenario.rule(n, count)).flat();
  let frames = innerFrames(size, count);
  const { before } = scenario;
  if (before !== undefined) {
    const outside = Array.from({ length: count }, (_, n) => rule(n + 1, toHost(n), before(n)));
    frames = through(outside, frames);
  }
  const core = createCore(benchConfig(1, 1, packFrames(frames)), { random: randomBytes, now: Date.now() });
  for (const one of rules) {
    if (core.rules.add(one, Date.now()) !== RuleStatus.done) throw new Error(`${name}: rule ${one.id} was refused`);
  }
  return result(name, "Mpps", await forwardingRates(core, options));
}

/** UDP flows to the destinations in random order; a frame matches the rule of its destination. */
export function innerFrames(size: Size, destinations: number): Uint8Array[] {
  // A source is at most a few dozen megabytes.
  const flows = size === 64 ? FLOWS : 4096;
  return Array.from({ length: flows }, (_, k) => {
    const n = destinations === 1 ? 0 : Math.floor(Math.random() * destinations);
    const length = (size === "imix" ? (IMIX[k % IMIX.length] as number) : size) - FCS;
    return udpFrame(length, k, destination(n));
  });
}

function destination(n: number): Uint8Array {
  return Uint8Array.of(10, 255, n >>> 8, n);
}

function udpFrame(length: number, flow: number, to: Uint8Array): Uint8Array {
  const frame = new Uint8Array(length);
  const ip = length - 14;
  frame.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
  frame.set([0x45, 0, ip >>> 8, ip, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, flow >>> 16, flow >>> 8, flow, ...to], 14);
  frame.set([4, 0, 0, 80, (ip - 20) >>> 8, ip - 20, 0, 0], 34);
  return frame;
}

interface LocalStage {
  readonly stage: TunnelStage;
  readonly burst: Burst;
}

/** A tunnel stage on this thread. */
function localStage(rules: readonly NewRule[]): LocalStage {
  const memory = allocateRules(rules.length, 1, hashKey(randomBytes(12)), rules.length);
  const sas = allocateSas(rules.length, 1);
  const routes = new Routes([]);
  const words = new Int32Array(new SharedArrayBuffer(wordsSize(1)));
  const table = new RuleTable(memory, new Grace(words, 1), {
    compile: (one, record) => compile(one, record, routes),
    failClosed: 0,
    sas: new SaTable(sas, { random: randomBytes, fingerprint: (key) => key.join() }),
  });
  for (const one of rules) {
    if (table.add(one, 0) !== RuleStatus.done) throw new Error(`rule ${one.id} was refused`);
  }
  const topology = new Topology(benchConfig(1, 1).ports);
  const burst = new Burst(new Frames(new ArrayBuffer(Frames.size(BURST))));
  const ipsec = { sas: new SaLookup(sas, 0), aead: openAead("openssl", burst.frames.bytes) };
  const stage = new TunnelStage(new RuleLookup(memory, 0), routes, topology, 0, 1, undefined, undefined, ipsec);
  return { stage, burst };
}

/** What comes out of the tunnels for each frame. */
export function through(rules: readonly NewRule[], frames: readonly Uint8Array[]): Uint8Array[] {
  const { stage, burst } = localStage(rules);
  return frames.map((frame) => {
    run(stage, burst, [frame]);
    const start = burst.offset[0] as number;
    return burst.frames.bytes.slice(start, start + (burst.length[0] as number));
  });
}

function run(stage: TunnelStage, burst: Burst, frames: readonly Uint8Array[]): void {
  burst.reset(0);
  burst.n = frames.length;
  frames.forEach((frame, i) => {
    burst.frames.bytes.set(frame, slotStart(i));
    burst.length[i] = frame.length;
    burst.wire[i] = frame.length;
    burst.port[i] = 0;
  });
  stage.run(burst);
}

const SHAPES = 10;
const FULL = 65_536;

/** On this thread: only the stage, frames that no rule matches, which is what looks longest. */
function matchingBench(): Bench {
  const names = ["memory/rules/10", "memory/rules/64k", "memory/rules/ratio"];
  return {
    names,
    unavailable: () => undefined,
    run: async ({ runs, seconds }) => {
      const stages = [SHAPES, FULL].map((count) =>
        localStage(Array.from({ length: count }, (_, i) => rule(i + 1, shapedMatch(i), geneve(i)))),
      );
      const frames = innerFrames(64, MANY).slice(0, BURST);
      const times: [number[], number[]] = [[], []];
      for (let turn = 0; turn <= runs; turn++) {
        stages.forEach(({ stage, burst }, s) => {
          const end = performance.now() + seconds * 500;
          let packets = 0;
          const start = performance.now();
          run(stage, burst, frames);
          for (; performance.now() < end; packets += 16 * BURST) for (let k = 0; k < 16; k++) stage.run(burst);
          // The first turn warms up.
          if (turn > 0) times[s as 0 | 1].push(((performance.now() - start) * 1e6) / packets);
        });
      }
      const [few, all] = times;
      return [
        result(names[0] as string, "ns", few),
        result(names[1] as string, "ns", all),
        result(
          names[2] as string,
          "",
          few.map((one, i) => (all[i] as number) / one),
        ),
      ];
    },
  };
}

/** Of ten shapes: prefix lengths from 23 to 32. */
function shapedMatch(i: number): RuleMatch {
  const length = 23 + (i % SHAPES);
  const host = (0x0b00_0000 + Math.floor(i / SHAPES) * 2 ** (32 - length)) >>> 0;
  return { ip: { ipv6: false, destination: { address: Uint8Array.of(host >>> 24, host >>> 16, host >>> 8, host), length } } };
}
