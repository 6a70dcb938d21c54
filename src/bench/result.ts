// What a benchmark says: one line per case, the median of its runs with their spread.

export interface Result {
  /** `<where>/<scenario>/<size or scale>` */
  readonly name: string;
  readonly unit: string;
  /** Median. */
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
}

export interface Bench {
  /** Names of the results that it gives; a filter picks the benches of which one matches. */
  readonly names: readonly string[];
  /** Why it cannot run here, or undefined. */
  unavailable(): string | undefined;
  run(options: BenchOptions): Promise<Result[]>;
}

export interface BenchOptions {
  readonly runs: number;
  /** Of one measurement. */
  readonly seconds: number;
}

export function result(name: string, unit: string, values: readonly number[]): Result {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return {
    name,
    unit,
    value: round(median),
    min: round(sorted[0]),
    max: round(sorted.at(-1) as number),
    runs: values.length,
  };
}

/** Four significant digits: more would claim what a shared machine cannot give. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}
