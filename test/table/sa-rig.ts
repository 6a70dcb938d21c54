// Security associations to put into a table, and the shared memory as a test may look at it.

import type { IvStore } from "../../src/table/key-counters.js";
import type { NewSa } from "../../src/table/sa.js";
import { KeyCounter, type SaMemory, Window } from "../../src/table/sa-memory.js";
import { SaTable } from "../../src/table/sa-table.js";
import { SKEW } from "../../src/table/session-memory.js";

/** 16 bytes that follow from a number. */
export function keyOf(n: number, length = 16): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (n * 37 + i * 11 + 0x51) & 0xff);
}

export function saOf(key: Uint8Array, settings: Partial<NewSa> = {}): NewSa {
  const salt = Uint8Array.of(0xa1, 0xb2, 0xc3, 0xd4);
  return { spi: 0x80000001, key, salt, suite: 8, seals: true, esn: false, replayWindow: 1024, ...settings };
}

/** Random bytes that are none: 1, 1, … then 2, 2, … */
export function counting(): (bytes: number) => Uint8Array {
  let n = 0;
  return (bytes) => new Uint8Array(bytes).fill(++n);
}

export function tableOf(memory: SaMemory, ivs?: IvStore): SaTable {
  const fingerprint = (key: Uint8Array) => Buffer.from(key).toString("hex");
  return new SaTable(memory, { random: counting(), fingerprint, ...(ivs && { ivs }) });
}

/** As if the window had moved to `top`, past numbers that never came. */
export function moveTop(memory: SaMemory, slot: number, top: number): void {
  const words = new Int32Array(memory.windows, SKEW);
  const high = Math.floor(top / 2 ** 32);
  words[slot * Window.size + Window.topLow] = top | 0;
  words[slot * Window.size + Window.topHigh] = high;
  words[slot * Window.size + Window.nextHigh] = high;
}

/** As if `number` was given out last, and all up to `limit` may be. */
export function moveCounter(memory: SaMemory, counter: number, number: number, limit = 2 ** 53 - 1): void {
  const words = new Int32Array(memory.counters, SKEW);
  words[counter * KeyCounter.size + KeyCounter.low] = number | 0;
  words[counter * KeyCounter.size + KeyCounter.half] = Math.floor(number / 2 ** 31);
  setLimit(memory, counter, limit);
}

export function setLimit(memory: SaMemory, counter: number, limit: number): void {
  new Float64Array(memory.counters, SKEW)[(counter * KeyCounter.size + KeyCounter.limit) / 2] = limit;
}
