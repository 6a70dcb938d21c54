// What a table of 4 M costs. `control/add/4m-slowdown`: the last tenth of filling it against the first; `control/memory`:
// bytes per session of capacity beyond what the same process with a table of one takes, every session seen by both workers;
// `control/memory/allowed`: all that it takes ÷ (300 bytes per session + 200 MB); `control/start-4m`: from the start of the
// process to "gRPC on". `control/aging/…`: how late the last of N sessions is reported that are all due at once,
// and the processor time of the thread until then.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Bench, type BenchOptions, type Result, result } from "../result.js";
import { type ServerProcess, withServer } from "./process.js";

const MILLION = 1_000_000;
const CAPACITY = 4 * MILLION;
const WARM_UP = 200_000;
const TENTHS = 10;
const TIMEOUT = 3600;
const ALLOWED = { perSession: 300, base: 200 * 1024 * 1024 };

export const sizeBench: Bench = {
  names: ["control/add/4m-slowdown", "control/memory", "control/memory/allowed", ...aging("4m")],
  unavailable: () => undefined,
  async run() {
    const base = await withServer("device", 1, async ({ server }) => (await server.ask({ do: "touch" })).resident as number);
    return withServer("device", CAPACITY, async ({ server, load }) => {
      const streams = { do: "add", perStream: 64, inFlight: 32, timeout: TIMEOUT } as const;
      // The optimizing compiler has seen the code by the first tenth.
      await load.ask({ ...streams, first: 0, count: WARM_UP });
      const { parts } = await load.ask({ ...streams, first: WARM_UP, count: CAPACITY - WARM_UP, parts: TENTHS });
      const { resident } = (await server.ask({ do: "touch" })) as { resident: number };
      const allowed = ALLOWED.perSession * CAPACITY + ALLOWED.base;
      return [
        result("control/add/4m-slowdown", "×", [(parts.at(-1) as number) / (parts[0] as number)]),
        result("control/memory", "B", [(resident - base) / CAPACITY]),
        result("control/memory/allowed", "×", [resident / allowed]),
        ...(await due(server, "4m", CAPACITY)),
      ];
    });
  },
};

export const agingBench: Bench = {
  names: [...aging("100k"), ...aging("1m")],
  unavailable: () => undefined,
  async run() {
    const results: Result[] = [];
    for (const [scale, count] of [
      ["100k", 100_000],
      ["1m", MILLION],
    ] as const) {
      results.push(
        ...(await withServer("device", count, async ({ server }) => {
          await server.ask({ do: "fill", first: 0, count, timeout: TIMEOUT });
          await server.ask({ do: "touch" });
          return due(server, scale, count);
        })),
      );
    }
    return results;
  },
};

function aging(scale: string): string[] {
  return [`control/aging/${scale}`, `control/aging/${scale}/processor`, `control/aging/${scale}/rate`];
}

async function due(server: ServerProcess, scale: string, count: number): Promise<Result[]> {
  const answer = await server.ask({ do: "age", ms: (TIMEOUT + 1) * 1000, count });
  const { seconds, processor } = answer as { seconds: number; processor: number };
  const [last, own, rate] = aging(scale) as [string, string, string];
  return [result(last, "s", [seconds]), result(own, "s", [processor]), result(rate, "k/s", [count / seconds / 1000])];
}

export const startBench: Bench = {
  names: ["control/start-4m"],
  unavailable: () => undefined,
  async run({ runs }: BenchOptions) {
    const directory = mkdtempSync(join(tmpdir(), "sluice-bench-"));
    try {
      const config = join(directory, "4m.yaml");
      writeFileSync(config, `sessions: { capacity: ${CAPACITY} }\nports:\n${PORTS}`);
      const seconds: number[] = [];
      for (let k = 0; k < Math.min(runs, 5); k++) seconds.push(await start(config));
      return [result("control/start-4m", "s", seconds)];
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
};

/** That nothing comes in by. */
const PORTS = [1, 2].map((lif) => `  - { lif: ${lif}, driver: memory }\n`).join("");

/** Seconds until `sluice run`, as a user starts it, takes calls. */
function start(config: string): Promise<number> {
  const main = fileURLToPath(new URL("../../cli/main.js", import.meta.url));
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    let took: number | undefined;
    const child = spawn(process.execPath, [main, "run", "-c", config, "--grpc", "127.0.0.1:0"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    child.stdout.on("data", (text: Buffer) => {
      if (took !== undefined || !text.includes("gRPC on")) return;
      took = (performance.now() - begin) / 1000;
      child.kill("SIGTERM");
    });
    child.once("exit", (code) => (took === undefined ? reject(new Error(`sluice run ended with ${code}`)) : resolve(took)));
  });
}
