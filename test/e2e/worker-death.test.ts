import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { A, addsUp, B, type Bump, counters, makeBump, program } from "./bump.js";
import { Device, idle, within } from "./device.js";
import type { Fault, FaultyDevice } from "./faulty-device.js";
import { noNamespaces } from "./namespaces.js";
import { type Remote, startRemote } from "./remote.js";

const skip = noNamespaces;
const SIZE = 300;
const RATE = 500;

const CAUSES: Record<Fault, RegExp> = {
  throw: /fault injected into the worker's loop/,
  exit: /exit/i,
  exhaust: /out of memory|memory limit/i,
};

interface Rig {
  readonly bump: Bump;
  readonly device: Device;
  readonly faulty: Remote<FaultyDevice>;
}

for (const workers of [1, 2]) {
  t.test(`a worker of ${workers} dies while traffic runs`, { skip }, async (t) => {
    const bump = await makeBump(t);
    const { child, remote } = await startRemote<FaultyDevice>(bump.net, "d", "faulty-device.js", [`${workers}`], "pipe");
    const rig: Rig = { bump, device: new Device(child), faulty: remote };
    for (const [i, fault] of (["throw", "exit", "exhaust"] as const).entries()) {
      await t.test(fault, (t) => die(t, rig, fault, 7000 + 100 * i, i % workers));
    }
    await remote.stop();
  });
}

async function die(t: Test, { bump, device, faulty }: Rig, fault: Fault, port: number, worker: number): Promise<void> {
  const { a, b, control } = bump;
  // Four flows, so that with two workers each has some.
  const ports = [port, port + 1, port + 2, port + 3];
  const heres = await Promise.all(ports.map((one) => a.bind(A.ip4, one)));
  const theres = await Promise.all(ports.map((one) => b.bind(B.ip4, one)));
  // ARP, through the application.
  await a.datagrams(heres[0], B.ip4, port, 1, SIZE);
  await b.received(theres[0], 1);
  const sessions = ports.map(
    (one) => ({ id: one, protocol: "UDP", from: A.ip4, fromPort: one, to: B.ip4, toPort: one }) as const,
  );
  t.strictSame(await control.add(program(sessions)), []);
  const restarts = async () => (await control.stats()).workers[worker];
  const before = { ...opened(bump, device), restarts: (await restarts()).restarts, log: device.log.length };

  await Promise.all(heres.map((one, i) => a.start(one, B.ip4, ports[i], SIZE, RATE / ports.length)));
  await sleep(300);
  await faulty.fail(worker, fault);
  const died = await device.logged(new RegExp(`worker ${worker} died`), before.log, 20_000);
  const back = async () => {
    const now = await restarts();
    return now.restarts === before.restarts + 1 && now.serving;
  };
  t.ok(await within(5000, back), "a new one takes its place");
  const took = Date.now() - died.time;
  t.ok(took < 1000, "it serves within a second");
  t.match(died.err?.message, CAUSES[fault], "the log names the cause");
  await sleep(400);
  const sent = await Promise.all(heres.map((one) => a.stop(one)));
  await sleep(100);
  await idle(control);
  const got = await Promise.all(theres.map((one) => b.received(one, 1, 100)));
  const bytes = 14 + 20 + 8 + SIZE;
  for (const [i, one] of ports.entries()) {
    const { packets, distinct } = got[i];
    t.equal(packets, distinct, "none arrives twice");
    const wanted = { in: { packets, bytes: packets * bytes }, out: { packets: 0, bytes: 0 } };
    t.strictSame(counters(await control.get(BigInt(one))), wanted, "the session counted all that arrived");
    t.ok(packets > 40, "and served before and after");
  }
  const [all, arrived] = [sent, got.map(({ packets }) => packets)].map((list) => list.reduce((sum, one) => sum + one, 0));
  const gap = Math.max(...got.map((one) => one.gap));
  t.comment(`${fault}: serves ${took} ms after the death was noticed, ${arrived} of ${all} arrived, longest silence ${gap} ms`);

  // After the new worker: flows go both ways, nothing is left over from the old one.
  await Promise.all(theres.map((one, i) => b.datagrams(one, A.ip4, ports[i], 50, SIZE, 2000)));
  for (const here of heres) t.equal((await a.received(here, 50)).packets, 50, "all come back");
  for (const one of ports) {
    t.strictSame(counters(await control.delete(BigInt(one)))?.out, { packets: 50, bytes: 50 * bytes }, "and are counted");
  }
  await within(
    2000,
    () => opened(bump, device).sockets === before.sockets && opened(bump, device).descriptors <= before.descriptors,
  );
  t.strictSame(opened(bump, device).sockets, before.sockets, "no packet socket is left open");
  t.ok(opened(bump, device).descriptors <= before.descriptors, "no descriptor is left open");
  await addsUp(t, bump);
}

/** Packet sockets in the namespace, descriptors of the process. */
function opened({ net }: Bump, { pid }: Device): { sockets: number; descriptors: number } {
  const sockets = net.sh("d", "cat /proc/net/packet").trim().split("\n").length - 1;
  return { sockets, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}
