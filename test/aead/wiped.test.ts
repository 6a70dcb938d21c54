// No key is left in the memory of a process once its context is wiped: all of it is looked through, as /proc/<pid>/mem has it.
// The first round keys of AES are the key itself, so this finds what providers make of it as well. node:crypto's own objects
// are wiped by OpenSSL when they are collected, which is not looked for.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import t from "tap";
import { suiteName } from "../../src/aead/known-answers.js";
import type { End } from "./keys-left.js";
import { PROVIDERS } from "./rig.js";

const CHILD = fileURLToPath(new URL("keys-left.js", import.meta.url));
const KEY = Buffer.from(Array.from({ length: 16 }, (_, i) => (i * 151 + 77) & 255));
const CHUNK = 1 << 22;

/** How often the first 16 bytes of the key stand in what the process may write to. */
function copies(pid: number): number {
  const memory = openSync(`/proc/${pid}/mem`, "r");
  const chunk = Buffer.alloc(CHUNK + KEY.length);
  let found = 0;
  for (const line of readFileSync(`/proc/${pid}/maps`, "utf8").split("\n")) {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
    if (from === undefined || to === undefined) continue;
    for (let at = Number.parseInt(from, 16); at < Number.parseInt(to, 16); at += CHUNK) {
      const length = Math.min(CHUNK + KEY.length - 1, Number.parseInt(to, 16) - at);
      const read = readOrGone(memory, chunk, length, at);
      for (let i = chunk.indexOf(KEY); i >= 0 && i + KEY.length <= read; i = chunk.indexOf(KEY, i + 1)) found++;
      chunk.fill(0);
    }
  }
  closeSync(memory);
  return found;
}

/** What the process gave back since its maps were read holds nothing. */
function readOrGone(memory: number, chunk: Buffer, length: number, at: number): number {
  try {
    return readSync(memory, chunk, 0, length, at);
  } catch {
    return 0;
  }
}

/** Yama lets a process look into its children up to mode 1. */
function forbidden(): string | false {
  try {
    const mode = Number(readFileSync("/proc/sys/kernel/yama/ptrace_scope", "utf8"));
    return mode > 1 && "kernel.yama.ptrace_scope forbids to look into another process";
  } catch {
    return false;
  }
}

async function* lines(child: ChildProcess): AsyncGenerator<string> {
  if (child.stdout !== null) yield* createInterface(child.stdout);
}

for (const { name, skip } of PROVIDERS.filter(({ name }) => name !== "node")) {
  for (const [suite, how] of [
    [8, "wipe"],
    [9, "close"],
    [10, "set"],
    [11, "thread"],
    [9, "thread"],
  ] as const satisfies readonly (readonly [number, End])[]) {
    t.test(`${name}: ${how} leaves no key of ${suiteName(suite)}`, { skip: skip || forbidden() }, async (t) => {
      const child = spawn(process.execPath, [CHILD, name, String(suite), how], { stdio: ["pipe", "pipe", "inherit"] });
      t.teardown(() => child.kill());
      const said = lines(child);
      const found: number[] = [];
      for (let step = 0; step < 3; step++) {
        await said.next();
        found.push(copies(child.pid as number));
        child.stdin.write("next\n");
      }
      t.equal(found[0], 0, "none before");
      t.ok((found[1] ?? 0) > 0, `${found[1]} while it is in use`);
      t.equal(found[2], 0, "none afterwards");
    });
  }
}
