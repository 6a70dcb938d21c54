// A failure as the user sees it: one message on stderr. Where in the program it arose is shown only on request, or when
// it is no failure that we know of and thus ours.

import { SluiceError } from "../errors.js";

export function report(error: unknown, debug: boolean): void {
  const known = error instanceof SluiceError;
  process.stderr.write(`sluice: ${error instanceof Error ? error.message : String(error)}\n`);
  if (debug && error instanceof Error) process.stderr.write(`${trace(error)}\n`);
  else if (!known) process.stderr.write("This is a fault of sluice itself; --debug shows where it arose.\n");
}

/** 2: the command line was wrong; 1: all else. */
export function exitCode(error: unknown): number {
  return error instanceof SluiceError && error.code === "usage" ? 2 : 1;
}

function trace(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by: ${trace(error.cause)}` : own;
}
