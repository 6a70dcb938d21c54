// `control/pause/…`: the longest time for which the thread of gRPC was held (event loop delay), in milliseconds, while a long
// AddSession stream runs, while a million sessions come due in the same moment, and while pages of GetAllSessions are made.
// `…/collection`: the longest garbage collection of the same time. A processor that another program has counts as a pause.

import { type Bench, type Result, result } from "../result.js";
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
  names: [c.name, `${c.name}/collection`],
  unavailable: () => undefined,
  async run({ runs }): Promise<Result[]> {
    const pauses: number[] = [];
    const collections: number[] = [];
    for (let k = 0; k < Math.min(runs, 3); k++) {
      await withServer("device", TABLE, async (pair) => {
        await c.prepare(pair);
        // What preparing left behind is not what is measured.
        await new Promise((resolve) => setTimeout(resolve, 500));
        await pair.server.ask({ do: "watch" });
        await c.run(pair);
        const { pause, collection } = (await pair.server.ask({ do: "pause" })) as { pause: number; collection: number };
        pauses.push(pause);
        collections.push(collection);
      });
    }
    return [result(c.name, "ms", pauses), result(`${c.name}/collection`, "ms", collections)];
  },
}));
