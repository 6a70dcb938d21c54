// `control/<call>`, `control/<call>/ratio`: rates of the calls of SessionTable, and what part that is of the rate of an empty
// handler of the same service. Both servers run, and are measured in turn, under the same load generator.

import { type Bench, type BenchOptions, type Result, result } from "../result.js";
import type { LoadAnswer } from "./messages.js";
import { type Pair, withServer } from "./process.js";

const TABLE = 1_048_576;
/** Measurements that are thrown away: the optimizing compiler has seen the handlers by then. */
const WARM_UP = 2;
const IN_FLIGHT = 32;

interface Case {
  readonly name: string;
  /** Sessions, or records, of one measurement. */
  readonly count: number;
  readonly unit: string;
  /** Before the first measurement of the device. */
  prepare?(device: Pair): Promise<unknown>;
  measure(pair: Pair, first: number, count: number): Promise<LoadAnswer>;
}

const ADD = 65_536;
const DELETE = 10_000;
const CLOSED = 32_768;

const cases: readonly Case[] = [
  {
    name: "control/add/64",
    count: ADD,
    unit: "k/s",
    prepare: ({ server }) => server.ask({ do: "fill", first: 0, count: TABLE / 4, timeout: 86_400 }),
    measure: ({ load }, first, count) =>
      load.ask({ do: "add", first: TABLE / 4 + first, count, perStream: 64, inFlight: IN_FLIGHT }),
  },
  {
    name: "control/add/long",
    count: ADD,
    unit: "k/s",
    prepare: ({ server }) => server.ask({ do: "fill", first: 0, count: TABLE / 4, timeout: 86_400 }),
    measure: ({ load }, first, count) => load.ask({ do: "add", first: TABLE / 4 + first, count, perStream: count, inFlight: 1 }),
  },
  {
    name: "control/delete",
    count: DELETE,
    unit: "k/s",
    prepare: ({ server }) => server.ask({ do: "fill", first: 0, count: TABLE, timeout: 86_400 }),
    measure: ({ load }, first, count) => load.ask({ do: "delete", first, count, inFlight: IN_FLIGHT }),
  },
  {
    name: "control/closed",
    count: CLOSED,
    unit: "k/s",
    async measure({ server, load }, _first, count) {
      await server.ask({ do: "close", count });
      const answer = await load.ask({ do: "closed", pageSize: 0 });
      if (answer.count !== count) throw new Error(`GetClosedSessions gave ${answer.count} of ${count}`);
      return answer;
    },
  },
];

export const rateBenches: readonly Bench[] = cases.map((c) => ({
  names: [c.name, `${c.name}/ratio`],
  unavailable: () => undefined,
  run: (options) => run(c, options),
}));

function run(c: Case, { runs }: BenchOptions): Promise<Result[]> {
  return withServer("empty", TABLE, (empty) =>
    withServer("device", TABLE, async (device) => {
      await c.prepare?.(device);
      const rates: number[] = [];
      const ratios: number[] = [];
      const measurements = Math.min(runs, 8);
      for (let k = -WARM_UP; k < measurements; k++) {
        const first = (k + WARM_UP) * c.count;
        const before = await rate(c, empty, first);
        const ours = await rate(c, device, first);
        const after = await rate(c, empty, first);
        if (k < 0) continue;
        rates.push(ours);
        ratios.push((2 * ours) / (before + after));
      }
      return [result(c.name, c.unit, rates), result(`${c.name}/ratio`, "×", ratios)];
    }),
  );
}

/** Thousands per second. */
async function rate(c: Case, pair: Pair, first: number): Promise<number> {
  const { seconds } = await c.measure(pair, first, c.count);
  return c.count / seconds / 1000;
}

export const listBench: Bench = {
  names: ["control/list-1m"],
  unavailable: () => undefined,
  run: ({ runs }) =>
    withServer("device", TABLE, async ({ server, load }) => {
      await server.ask({ do: "fill", first: 0, count: 1_000_000, timeout: 86_400 });
      const seconds: number[] = [];
      for (let k = 0; k < Math.min(runs, 5); k++) {
        const answer = await load.ask({ do: "list", pageSize: 0 });
        if (answer.count !== 1_000_000) throw new Error(`GetAllSessions gave ${answer.count} of 1,000,000`);
        seconds.push(answer.seconds);
      }
      return [result("control/list-1m", "s", seconds)];
    }),
};
