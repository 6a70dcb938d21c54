import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import t from "tap";
import { ip } from "./af-packet-rig.js";
import { noNamespace } from "./namespace.js";

/** Sockets of this process, packet sockets of this namespace, and packet rings that are mapped. */
function held(): { sockets: number; packet: number; maps: number } {
  let sockets = 0;
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:")) sockets++;
    } catch {}
  }
  const packet = readFileSync("/proc/net/packet", "utf8").trim().split("\n").length - 1;
  const maps = readFileSync("/proc/self/maps", "utf8").match(/socket:/g)?.length ?? 0;
  return { sockets, packet, maps };
}

t.test("a thread that ends, however it ends, lets go of sockets and rings", { skip: noNamespace }, async (t) => {
  ip("link add slpx type veth peer name slpy");
  ip("link set slpx up");
  const before = held();
  for (const end of ["stop", "exception", "exit", "memory", "terminate"] as const) {
    const worker = new Worker(new URL("./af-packet-thread.js", import.meta.url), {
      workerData: end,
      execArgv: [], // without the loaders of the test runner
      resourceLimits: { maxOldGenerationSizeMb: 16 },
      stdout: true,
      stderr: true,
    });
    const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
    let error = "";
    worker.once("error", (thrown: NodeJS.ErrnoException) => {
      error = thrown.code ?? thrown.message;
    });
    await new Promise<void>((resolve) => {
      worker.on("message", (message) => {
        if (message === "open") resolve();
      });
    });
    const during = held();
    t.equal(during.packet, before.packet + 2, `${end}: a receive and a transmit socket while it lives`);
    t.equal(during.maps, before.maps + 1);
    worker.postMessage("end");
    if (end === "terminate") await worker.terminate();
    await ended;
    await sleep(20);
    t.strictSame(held(), before, `${end}: nothing is left${error && ` (${error})`}`);
    if (end === "memory") t.equal(error, "ERR_WORKER_OUT_OF_MEMORY");
  }
  ip("link del slpx");
});
