// The native addon, loaded once per thread, with its types. Only src/port, and the composition root for memory and
// threads, may call it.

import { createRequire } from "node:module";
import { SluiceError } from "../errors.js";

export interface Native {
  /** Zeroed, page-aligned memory of this thread alone. */
  frames(bytes: number): ArrayBuffer;
  /** Asks for huge pages under a typed array (of a SharedArrayBuffer too). */
  adviseHuge(view: Uint8Array): boolean;
  /** Ties this thread to a processor. */
  pin(cpu: number): void;
  /** Names this thread for top and perf. */
  name(text: string): void;
  /** Nanoseconds of processor time that this thread has used. */
  cpuTime(): number;
}

function load(): Native {
  try {
    return createRequire(import.meta.url)("../../../build/Release/sluice.node") as Native;
  } catch (cause) {
    throw new SluiceError("addon", "loading the native addon build/Release/sluice.node failed: run `npm run build`", { cause });
  }
}

export const native: Native = load();
