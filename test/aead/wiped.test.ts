// No key is left in the memory of a process once its context is wiped: all of it is looked through, as /proc/<pid>/mem has it.
// The first round keys of AES are the key itself, so this finds what providers make of it as well. node:crypto's own objects
// are wiped by OpenSSL when they are collected, which is not looked for.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import t from "tap";
import { suiteName } from "../../src/aead/known-answers.js";
import type { End } from "./keys-left.js";
import { copies, forbidden } from "./process-memory.js";
import { PROVIDERS } from "./rig.js";

const CHILD = fileURLToPath(new URL("keys-left.js", import.meta.url));
const KEY = Buffer.from(Array.from({ length: 16 }, (_, i) => (i * 151 + 77) & 255));

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
        found.push(copies(child.pid as number, KEY));
        child.stdin.write("next\n");
      }
      t.equal(found[0], 0, "none before");
      t.ok((found[1] ?? 0) > 0, `${found[1]} while it is in use`);
      t.equal(found[2], 0, "none afterwards");
    });
  }
}
