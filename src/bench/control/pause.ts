// `control/pause/…`: the longest time for which the thread of gRPC was held (a timer came late), in milliseconds, while a long
// AddSession stream runs, while a million sessions come due in the same moment, and while pages of GetAllSessions are made.
// `…/processor`: the longest in processor time of that thread, which other programs on the machine have no part in;
// `…/collection`: the longest garbage collection of the same time.

import { type Bench, type Result, result } from "../result.js";
import type { Held } from "./messages.js";
import { type Pair, withServer } from "./process.js";

const TABLE = 1_048_576;
const TIMEOUT = 3600;

interface Case {
  readonly name: string;
  prepare(pair: Pair): Promise<unknown>;
  run(pair: Pair): Promise<unknown>;
}

const fill = (count: number) => (pair: Pair) => pair.server.ask({ do: "fill", first: 0, count, timeout: TIMEOUT });

const cases: readonly Case[] = [
  {
    name: "control/pause/add",
    prepare: ({ load }) => load.ask({ do: "add", first: 0, count: 100_000, perStream: 100_000, inFlight: 1 }),
    run: ({ load }) => load.ask({ do: "add", first: 100_000, count: 500_000, perStream: 500_000, inFlight: 1 }),
  },
  {
    name: "control/pause/add-64",
    prepare: ({ load }) => load.ask({ do: "add", first: 0, count: 102_400, perStream: 64, inFlight: 32 }),
    run: ({ load }) => load.ask({ do: "add", first: 102_400, count: 512_000, perStream: 64, inFlight: 32 }),
  },
  {
    name: "control/pause/aging",
    prepare: fill(1_000_000),
    run: ({ server }) => server.ask({ do: "age", ms: (TIMEOUT + 1) * 1000, count: 1_000_000 }),
  },
  {
    name: "control/pause/list",
    prepare: fill(1_000_000),
    run: ({ load }) => load.ask({ do: "list", pageSize: 0 }),
  },
];

export const pauseBenches: readonly Bench[] = cases.map((c) => ({
  names: [c.name, `${c.name}/processor`, `${c.name}/collection`],
  unavailable: () => undefined,
  async run({ runs }): Promise<Result[]> {
    const all: Held[] = [];
    for (let k = 0; k < Math.min(runs, 3); k++) {
      await withServer("device", TABLE, async (pair) => {
        await c.prepare(pair);
        // What preparing left behind is not what is measured.
        await new Promise((resolve) => setTimeout(resolve, 500));
        await pair.server.ask({ do: "watch" });
        await c.run(pair);
        all.push((await pair.server.ask({ do: "pause" })).held as Held);
      });
    }
    return (["wall", "processor", "collection"] as const).map((what) =>
      result(
        what === "wall" ? c.name : `${c.name}/${what}`,
        "ms",
        all.map((held) => held[what]),
      ),
    );
  },
}));
