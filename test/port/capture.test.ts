import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import t from "tap";
import { POSITIONS } from "../../src/memory/burst.js";
import { CaptureReader, CaptureWriter } from "../../src/port/capture.js";
import { noScapy, positions, Rig, scapyRead, writePcap } from "./rig.js";

const record = { sec: 7, nsec: 8, data: new Uint8Array(60).fill(9) };

t.test("what a thread wrote is in the file when the thread is terminated", { skip: noScapy }, async (t) => {
  const dir = t.testdir({ "in.pcap": writePcap(Array(100).fill(record)) });
  const out = join(dir, "out.pcap");
  const code = `
    const { parentPort, workerData } = require("node:worker_threads");
    import(workerData.rig).then(async ({ Rig, positions }) => {
      const { CaptureReader, CaptureWriter } = await import(workerData.capture);
      const rig = new Rig();
      const reader = new CaptureReader(workerData.in, 9216, rig.tell);
      const writer = new CaptureWriter(workerData.out, false);
      rig.burst.reset(0);
      const n = reader.read(rig.burst, 64, Infinity, 0);
      writer.write(rig.burst, positions(n), n, rig.burst.sec, rig.burst.nsec);
      parentPort.postMessage(n);
      for (;;);
    });`;
  const workerData = {
    rig: new URL("./rig.js", import.meta.url).href,
    capture: new URL("../../src/port/capture.js", import.meta.url).href,
    in: join(dir, "in.pcap"),
    out,
  };
  const worker = new Worker(code, { eval: true, workerData });
  t.same(await once(worker, "message"), [64]);
  await worker.terminate();
  t.equal(scapyRead(out).length, 64);
});

t.test("a writer takes no frames from outside of the frame memory, a reader puts none there", (t) => {
  const dir = t.testdir({ "in.pcap": writePcap([record]) });
  const rig = new Rig();
  const writer = new CaptureWriter(join(dir, "out.pcap"), false);
  const write = (list: Int32Array, n: number) => writer.write(rig.burst, list, n, rig.burst.sec, rig.burst.nsec);
  rig.burst.reset(0);
  rig.burst.length[0] = 60;
  t.doesNotThrow(() => write(positions(1), 1));
  for (const position of [-1, POSITIONS, 1 << 30]) t.throws(() => write(Int32Array.of(position), 1));
  t.throws(() => write(positions(1), 2));
  rig.burst.length[0] = -1;
  t.throws(() => write(positions(1), 1));
  rig.burst.length[0] = 1 << 30;
  t.throws(() => write(positions(1), 1));
  writer.close();
  writer.close();
  t.throws(() => write(positions(1), 1), { code: "file", message: /Bad file descriptor/ });
  const reader = new CaptureReader(join(dir, "in.pcap"), 9216, rig.tell);
  rig.burst.n = 1;
  t.throws(() => reader.read(rig.burst, POSITIONS, Number.POSITIVE_INFINITY, 0), /too short/, "more than there are positions");
  reader.close();
  reader.close();
  rig.burst.n = 0;
  t.equal(reader.read(rig.burst, POSITIONS, Number.POSITIVE_INFINITY, 0), 0, "closed");
  t.end();
});
