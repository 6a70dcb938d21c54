// A process that uses a key with a provider and then lets go of it, a step per line on stdin: the test looks through its memory
// (test/aead/wiped.test.ts). The key is written byte by byte into an ArrayBuffer, so that no other copy of it is made here.

import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { type Aead, type AeadName, Job, keyLength, saltLength } from "../../src/aead/aead.js";
import { openAead } from "../../src/aead/choose.js";

/** `thread`: the context is of a thread that is ended. */
export type End = "wipe" | "close" | "set" | "thread";

const [name, text, how] = process.argv.slice(2);
const suite = Number(text);
const key = new Uint8Array(new ArrayBuffer(keyLength(suite)));
const salt = new Uint8Array(saltLength(suite));

function used(): Aead {
  const aead = openAead(name as AeadName, new Uint8Array(256));
  const jobs = new Int32Array(Job.size);
  jobs.set([3, 0, 8, 12, 20, 64]);
  for (let i = 0; i < key.length; i++) key[i] = (i * 151 + 77) & 255;
  aead.set(3, suite, key, salt);
  key.fill(0);
  aead.seal(jobs, 1);
  aead.open(jobs, 1);
  return aead;
}

const ENDS: Readonly<Record<Exclude<End, "thread">, (aead: Aead) => void>> = {
  wipe: (aead) => aead.wipe(3),
  close: (aead) => aead.close(),
  set: (aead) => aead.set(3, suite, key, salt),
};

async function main(): Promise<void> {
  const lines = createInterface(process.stdin)[Symbol.asyncIterator]();
  const step = async (done: string) => {
    console.log(done);
    await lines.next();
  };
  await step("ready");
  if (how === "thread") {
    const thread = new Worker(fileURLToPath(import.meta.url), { argv: process.argv.slice(2) });
    await once(thread, "message");
    await step("used");
    await thread.terminate();
  } else {
    const aead = used();
    await step("used");
    ENDS[how as Exclude<End, "thread">](aead);
  }
  await step("ended");
  process.exit();
}

if (isMainThread) await main();
else {
  const aead = used();
  parentPort?.postMessage("used");
  setInterval(() => aead.wipe(4), 1000);
}
