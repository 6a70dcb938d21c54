// A thread that never stops sealing and opening with contexts open.

import { parentPort, workerData } from "node:worker_threads";
import { type AeadName, Job, keyLength, saltLength } from "../../src/aead/aead.js";
import { openAead } from "../../src/aead/choose.js";
import { SUITES } from "./rig.js";

const frames = new Uint8Array(64 * 2048);
const aead = openAead(workerData as AeadName, frames);
const jobs = new Int32Array(64 * Job.size);
for (const suite of SUITES) aead.set(suite, suite, new Uint8Array(keyLength(suite)).fill(1), new Uint8Array(saltLength(suite)));
for (let i = 0; i < 64; i++) jobs.set([i % SUITES.length, i * 2048, i * 2048 + 8, 12, i * 2048 + 20, 1400], i * Job.size);

parentPort?.postMessage("running");
for (;;) {
  aead.seal(jobs, 64);
  aead.open(jobs, 64);
}
