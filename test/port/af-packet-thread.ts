// A thread with an open port that ends as its workerData says once it is told "end": for af-packet-threads.test.ts.

import { parentPort, workerData } from "node:worker_threads";
import { Rig } from "./af-packet-rig.js";

export type End = "stop" | "exception" | "exit" | "memory" | "terminate";

const rig = new Rig("slpx", { workers: 2 });
rig.rx();
parentPort?.on("message", (message) => {
  if (message !== "end") return;
  parentPort?.close();
  switch (workerData as End) {
    case "stop":
      rig.port.close();
      break;
    case "exception":
      throw new Error("as the test asked");
    case "exit":
      process.exit(3);
      break;
    case "memory": {
      const kept: number[][] = [];
      for (;;) kept.push(new Array<number>(10_000).fill(kept.length));
    }
  }
});
if ((workerData as End) === "terminate") setInterval(() => rig.rx(), 1);
parentPort?.postMessage("open");
