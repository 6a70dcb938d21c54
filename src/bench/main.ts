// `npm run bench -- [--json] [--filter RE] [--runs N] [--seconds S]`: one line per case on stdout, notes on stderr.

import { Command } from "commander";
import { aeadBenches } from "./aead.js";
import { controlBenches } from "./control/main.js";
import { espBenches } from "./esp.js";
import { memoryBenches } from "./memory.js";
import type { Bench } from "./result.js";
import { tunnelBenches } from "./tunnel.js";
import { vethBench } from "./veth.js";

interface Options {
  json?: true;
  filter: string;
  runs: string;
  seconds: string;
}

const benches: readonly Bench[] = [
  ...memoryBenches,
  ...tunnelBenches,
  ...aeadBenches,
  ...espBenches,
  vethBench,
  ...controlBenches,
];

const options = new Command("bench")
  .description("Measures Sluice on this machine; compare only numbers of one run.")
  .option("--json", "one JSON object per line")
  .option("--filter <re>", "only cases whose name matches", "")
  .option("--runs <n>", "measurements per case", "5")
  .option("--seconds <s>", "length of one measurement", "1")
  .parse()
  .opts<Options>();

const wanted = new RegExp(options.filter);
if (options.json === undefined)
  console.log(
    `${"case".padEnd(34)} ${"unit".padEnd(6)} ${"median".padStart(10)} ${"min".padStart(10)} ${"max".padStart(10)} runs`,
  );
for (const bench of benches) {
  if (!bench.names.some((name) => wanted.test(name))) continue;
  const reason = bench.unavailable();
  if (reason !== undefined) {
    console.error(`${bench.names.join(", ")}: skipped, ${reason}`);
    continue;
  }
  for (const r of await bench.run({
    runs: Number(options.runs),
    seconds: Number(options.seconds),
  })) {
    if (!wanted.test(r.name)) continue;
    console.log(
      options.json === true
        ? JSON.stringify(r)
        : `${r.name.padEnd(34)} ${r.unit.padEnd(6)} ${[r.value, r.min, r.max].map((n) => String(n).padStart(10)).join(" ")} ${r.runs}`,
    );
  }
}
process.exit(0);
