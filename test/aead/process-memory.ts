// What a process has in its memory, as /proc/<pid>/mem shows it.

import { closeSync, openSync, readFileSync, readSync } from "node:fs";

const CHUNK = 1 << 22;
/** Bytes in front of a place that are told. */
const BEFORE = 2;

export interface Place {
  /** Of the list. */
  readonly what: number;
  /** The bytes in front of it. */
  readonly before: Buffer;
}

/** How often the bytes stand in what the process may write to. */
export function copies(pid: number, bytes: Buffer): number {
  return [...places(pid, [bytes])].length;
}

/** Where any of them stand. */
export function* places(pid: number, list: readonly Buffer[]): Generator<Place> {
  const memory = openSync(`/proc/${pid}/mem`, "r");
  const longest = Math.max(...list.map(({ length }) => length));
  const chunk = Buffer.alloc(BEFORE + CHUNK + longest - 1);
  for (const line of readFileSync(`/proc/${pid}/maps`, "utf8").split("\n")) {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
    if (from === undefined || to === undefined) continue;
    const end = Number.parseInt(to, 16);
    chunk.fill(0);
    for (let at = Number.parseInt(from, 16); at < end; at += CHUNK) {
      const room = chunk.subarray(BEFORE, BEFORE + Math.min(CHUNK + longest - 1, end - at));
      room.fill(0, readOrGone(memory, room, at));
      for (const [what, bytes] of list.entries()) {
        // One that begins behind the chunk is the next one's.
        const last = Math.min(CHUNK, room.length - bytes.length + 1);
        for (let i = room.indexOf(bytes); i >= 0 && i < last; i = room.indexOf(bytes, i + 1)) {
          yield { what, before: Buffer.from(chunk.subarray(i, i + BEFORE)) };
        }
      }
      chunk.copyWithin(0, CHUNK, CHUNK + BEFORE);
    }
  }
  closeSync(memory);
}

/** What the process gave back since its maps were read holds nothing. @returns how many bytes were there */
function readOrGone(memory: number, room: Buffer, at: number): number {
  try {
    return readSync(memory, room, 0, room.length, at);
  } catch {
    return 0;
  }
}

/** Yama lets a process look into its children up to mode 1. */
export function forbidden(): string | false {
  try {
    const mode = Number(readFileSync("/proc/sys/kernel/yama/ptrace_scope", "utf8"));
    return mode > 1 && "kernel.yama.ptrace_scope forbids to look into another process";
  } catch {
    return false;
  }
}
