// A process that uses a key with a provider and wipes it, a step per line on stdin: the test looks through its memory
// (test/aead/wiped.test.ts). The key is written byte by byte into an ArrayBuffer, so that no other copy of it is made here.

import { createInterface } from "node:readline";
import { type AeadName, Job } from "../../src/aead/aead.js";
import { openAead } from "../../src/aead/choose.js";

const [name, suite, how] = process.argv.slice(2);
const frames = new Uint8Array(256);
const aead = openAead(name as AeadName, frames);
const key = new Uint8Array(new ArrayBuffer(Number(suite) & 1 ? 32 : 16));
const jobs = new Int32Array(Job.size);
jobs.set([3, 0, 8, 12, 20, 64]);

const steps = [
  () => {
    for (let i = 0; i < key.length; i++) key[i] = (i * 151 + 77) & 255;
    aead.set(3, Number(suite), key, new Uint8Array(Number(suite) & 2 ? 3 : 4));
    key.fill(0);
    aead.seal(jobs, 1);
    aead.open(jobs, 1);
  },
  () => {
    if (how === "close") aead.close();
    else if (how === "wipe") aead.wipe(3);
    else aead.set(3, Number(suite), key, new Uint8Array(Number(suite) & 2 ? 3 : 4));
  },
];

console.log("ready");
createInterface(process.stdin).on("line", () => {
  steps.shift()?.();
  console.log("done");
});
