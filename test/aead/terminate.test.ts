// A worker that dies, or is ended, in the middle of a burst takes its provider with it and nothing else.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import t from "tap";
import { PROVIDERS, packetOf, Rig } from "./rig.js";

const THREAD = new URL("terminate.thread.js", import.meta.url);

for (const { name, skip } of PROVIDERS) {
  t.test(`${name}: threads ended amid their bursts leave the process and its own contexts whole`, { skip }, async (t) => {
    const rig = new Rig(name);
    const packet = packetOf(9, 500);
    const sealed = rig.seal(packet);
    for (let round = 0; round < 5; round++) {
      const threads = [0, 1].map(() => new Worker(THREAD, { workerData: name }));
      await Promise.all(threads.map((thread) => once(thread, "message")));
      t.same(rig.open(packet, sealed), packet.plain);
      const codes = await Promise.all(threads.map((thread) => thread.terminate()));
      t.same(codes, [1, 1]);
    }
    t.same(rig.open(packet, sealed), packet.plain);
    rig.aead.close();
  });
}
