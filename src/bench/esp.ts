// `esp/<provider>/<seal|open>/<size>` and `…/1k`, `…/10k`: ESP in tunnel mode, AES-256-GCM with an ICV of 16 bytes, on the memory port,
// one worker in its own thread. The size is that of the frame inside, with FCS. `1k`, `10k`: as many SAs, flows in random order over all of
// them. `…/ratio`: of what the provider alone does in the same run with so many bytes (`aead/…`).
//
// What is opened comes round again and again, which a replay window would not let pass: it is off, its lock and its top are not.

import { randomBytes } from "node:crypto";
import { AEAD_NAMES, type AeadName } from "../aead/aead.js";
import { DEFAULTS } from "../config/defaults.js";
import { createCore } from "../main/core.js";
import { packFrames } from "../port/memory.js";
import type { NewRule, RuleMatch } from "../table/rule.js";
import { RuleStatus } from "../table/rule-table.js";
import { EspMode, type SaKeys } from "../table/sa.js";
import { GCM_256, missing, rawRates } from "./aead.js";
import { benchConfig } from "./config.js";
import { forwardingRates } from "./memory.js";
import { type Bench, type BenchOptions, type Result, result } from "./result.js";
import { innerFrames, OUTER, rule, SIZES, type Size, through, toHost } from "./tunnel.js";

type Direction = "seal" | "open";

const SCALES = { "1k": 1_000, "10k": 10_000 };
const FIRST_SPI = 0x1000;
const tunnel = { mode: EspMode.tunnel, suite: GCM_256 };
const anyEsp: RuleMatch = { ip: { ipv6: false, destination: { address: OUTER.destination, length: 32 } } };

export const espBenches: readonly Bench[] = AEAD_NAMES.flatMap((provider) =>
  (["seal", "open"] as const).flatMap((direction) => [
    ...SIZES.map((size) => bench(provider, direction, String(size), size, 1)),
    ...Object.entries(SCALES).map(([scale, count]) => bench(provider, direction, scale, 64, count)),
  ]),
);

function bench(provider: AeadName, direction: Direction, last: string, size: Size, count: number): Bench {
  const name = `esp/${provider}/${direction}/${last}`;
  return {
    names: [name],
    unavailable: () => missing(provider),
    run: (options) => measure(name, provider, direction, size, count, options),
  };
}

async function measure(
  name: string,
  provider: AeadName,
  direction: Direction,
  size: Size,
  count: number,
  options: BenchOptions,
): Promise<Result[]> {
  const sas = Array.from(
    { length: count },
    (_, n): SaKeys => ({ spi: FIRST_SPI + n, key: randomBytes(32), salt: randomBytes(4) }),
  );
  const seals = sas.map((sa, n): NewRule => rule(n + 1, toHost(n), { kind: "ipsec-enc", ...tunnel, outer: OUTER, sa }));
  const inner = innerFrames(size, count);
  const opens = { ...rule(1, anyEsp, { kind: "ipsec-dec", ...tunnel, sas }), settings: { ...DEFAULTS.tunnel, replayWindow: 0 } };
  const [rules, frames] = direction === "seal" ? [seals, inner] : [[opens], through(seals, inner)];
  const config = { ...benchConfig(1, 1, packFrames(frames)), ipsec: { ...DEFAULTS.ipsec, aead: provider } };
  const core = createCore(config, { random: randomBytes, now: Date.now() });
  for (const one of rules) {
    if (core.rules.add(one, Date.now()) !== RuleStatus.done) throw new Error(`${name}: rule ${one.id} was refused`);
  }
  const raw = typeof size === "number" ? rawRates(provider, size, options) : undefined;
  const rates = await forwardingRates(core, options);
  const bytes = inner.reduce((sum, frame) => sum + frame.length, 0) / inner.length;
  const rows = [
    result(name, "Mpps", rates),
    result(
      name,
      "Gbps",
      rates.map((rate) => (rate * bytes * 8) / 1000),
    ),
  ];
  if (raw === undefined) return rows;
  const ratios = rates.map((rate, run) => rate / (raw[run] as { seal: number; open: number })[direction]);
  return [...rows, result(`${name}/ratio`, "", ratios)];
}
