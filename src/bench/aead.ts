// `aead/<provider>/gcm-256/<seal|open>/<bytes>`: bursts of 64 packets through a provider and nothing else, in frame memory as a
// worker has it: what ESP can reach at the most. Each burst is sealed and then opened; the two are timed apart.

import { randomFillSync } from "node:crypto";
import { AEAD_NAMES, type Aead, type AeadName, Job, SuiteBits } from "../aead/aead.js";
import { chooseAead } from "../aead/choose.js";
import { BURST } from "../memory/burst.js";
import { Frames, slotStart } from "../memory/frames.js";
import { native } from "../native.js";
import { type Bench, type BenchOptions, result } from "./result.js";

const SIZES = [64, 512, 1400];
export const GCM_256 = SuiteBits.aes256 | (2 << SuiteBits.icvShift);
/** SPI and sequence number, then IV, then data: as in an ESP packet. */
const ESP = 8;

export const aeadBenches: readonly Bench[] = AEAD_NAMES.map((name) => ({
  names: SIZES.flatMap((size) => [rowName(name, "seal", size), rowName(name, "open", size)]),
  unavailable: () => missing(name),
  run: async (options) =>
    SIZES.flatMap((size) => {
      const rates = rawRates(name, size, options);
      return (["seal", "open"] as const).flatMap((direction) => {
        const mpps = rates.map((rate) => rate[direction]);
        const gbps = mpps.map((rate) => (rate * size * 8) / 1000);
        return [result(rowName(name, direction, size), "Mpps", mpps), result(rowName(name, direction, size), "Gbps", gbps)];
      });
    }),
}));

/** Why there is no such provider. */
export function missing(name: AeadName): string | undefined {
  try {
    chooseAead(name, new Uint8Array(0)).aead.close();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function rowName(provider: AeadName, direction: string, size: number): string {
  return `aead/${provider}/gcm-256/${direction}/${size}`;
}

interface Rates {
  readonly seal: number;
  readonly open: number;
}

/** Million packets per second, by run. */
export function rawRates(name: AeadName, size: number, { runs, seconds }: BenchOptions): Rates[] {
  const frames = new Frames(native.frames(Frames.size(BURST)));
  randomFillSync(frames.bytes);
  const { aead } = chooseAead(name, frames.bytes);
  aead.set(0, GCM_256, frames.bytes.slice(0, 32), frames.bytes.slice(32, 36));
  const jobs = new Int32Array(BURST * Job.size);
  for (let i = 0; i < BURST; i++) {
    const at = slotStart(i);
    jobs.set([0, at + ESP, at, ESP, at + 2 * ESP, size], i * Job.size);
  }
  round(aead, jobs, 200); // The optimizing compiler has seen the loop by then.
  const rates = Array.from({ length: runs }, () => round(aead, jobs, seconds * 1000));
  aead.close();
  return rates;
}

function round(aead: Aead, jobs: Int32Array, milliseconds: number): Rates {
  let packets = 0;
  let seal = 0;
  let open = 0;
  while (seal + open < milliseconds) {
    const start = performance.now();
    aead.seal(jobs, BURST);
    const between = performance.now();
    aead.open(jobs, BURST);
    open += performance.now() - between;
    seal += between - start;
    packets += BURST;
  }
  return { seal: packets / seal / 1000, open: packets / open / 1000 };
}
