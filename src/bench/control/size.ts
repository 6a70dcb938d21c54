// What a table of 4 M costs. `control/add/4m-slowdown`: the last tenth of filling it against the first; `control/memory`:
// bytes per session of capacity beyond what the same process with a table of one takes, every session seen by both workers;
// `control/memory/allowed`: all that it takes ÷ (300 bytes per session + 200 MB); `control/start-4m`: from the start of the
// process to "gRPC on". `control/aging/…`: how late the last of N sessions is reported that are all due at once.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Bench, type BenchOptions, type Result, result } from "../result.js";
import { withServer } from "./process.js";

const MILLION = 1_000_000;
const CAPACITY = 4 * MILLION;
const TENTHS = 10;
const TIMEOUT = 3600;
const ALLOWED = { perSession: 300, base: 200 * 1024 * 1024 };

export const sizeBench: Bench = {
  names: ["control/add/4m-slowdown", "control/memory", "control/memory/allowed", ...aging("4m")],
  unavailable: () => undefined,
  async run() {
    const base = await withServer("device", 1, async ({ server }) => (await server.ask({ do: "touch" })).resident as number);
    return withServer("device", CAPACITY, async ({ server, load }) => {
      const { parts } = await load.ask({
        do: "add",
        first: 0,
        count: CAPACITY,
        perStream: 64,
        inFlight: 32,
        parts: TENTHS,
        timeout: TIMEOUT,
      });
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
  return [`control/aging/${scale}`, `control/aging/${scale}/rate`];
}

async function due(
  server: { ask(request: { do: "age"; ms: number; count: number }): Promise<{ seconds?: number }> },
  scale: string,
  count: number,
): Promise<Result[]> {
  const { seconds } = (await server.ask({ do: "age", ms: (TIMEOUT + 1) * 1000, count })) as { seconds: number };
  const [last, rate] = aging(scale) as [string, string];
  return [result(last, "s", [seconds]), result(rate, "k/s", [count / seconds / 1000])];
}

export const startBench: Bench = {
  names: ["control/start-4m"],
  unavailable: () => undefined,
  async run({ runs }: BenchOptions) {
    const seconds: number[] = [];
    for (let k = 0; k < Math.min(runs, 5); k++) seconds.push(await start());
    return [result("control/start-4m", "s", seconds)];
  },
};

/** `sluice run` as a user starts it, on two ports that nothing comes in by. */
function start(): Promise<number> {
  const main = fileURLToPath(new URL("../../cli/main.js", import.meta.url));
  const ports = ["lif=1,driver=memory", "lif=2,driver=memory"].flatMap((port) => ["--port", port]);
  const config = fileURLToPath(new URL("../../../../src/bench/control/4m.yaml", import.meta.url));
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    let took: number | undefined;
    const child = spawn(process.execPath, [main, "run", "-c", config, "--grpc", "127.0.0.1:0", ...ports], {
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
