// A worker of two dies while both seal and open on the same SAs: the other one and the next one go on, and no number and no IV comes
// twice under a key.

import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { EncType, IPSecTunnelType } from "../../src/control/gen/tunneloffload.js";
import { A, addsUp, B } from "./bump.js";
import { Capture } from "./capture.js";
import { Device, within } from "./device.js";
import type { Fault, FaultyDevice } from "./faulty-device.js";
import { AT, decrypt, type Esp, encrypt, from, ivs, newKey } from "./ipsec.js";
import { allIdle, type Line, type LineDevice, makeLine } from "./line.js";
import { noNamespaces } from "./namespaces.js";
import { type Remote, startRemote } from "./remote.js";

const FLOWS = 4;
const RATE = 250;
const SIZE = 200;
const ENC = 1;
const DEC = 2;
const ESP: Esp = { mode: IPSecTunnelType.TUNNEL, encryption: EncType._AES256GCM128, family: 4 };
const FAULTS: readonly Fault[] = ["throw", "exit", "exhaust"];

t.test("a worker dies while traffic runs through SAs", { skip: noNamespaces }, async (t) => {
  const faulty: Remote<FaultyDevice>[] = [];
  const line = await makeLine(t, ["d", "e"], "", async (net, part, args) => {
    if (part === "e") return Device.run(net, args, part);
    const { child, remote } = await startRemote<FaultyDevice>(net, part, "faulty-device.js", ["2", ...args], "pipe");
    faulty.push(remote);
    return new Device(child);
  });
  const [d, e] = line.devices as [LineDevice, LineDevice];
  const [out, back] = [newKey(0x301, ESP), newKey(0x302, ESP)];
  t.strictSame(await d.control.tunnels([decrypt(DEC, from("b"), ESP, [back]), encrypt(ENC, from("a"), ESP, "b", out)]), []);
  t.strictSame(await e.control.tunnels([decrypt(DEC, from("a"), ESP, [out]), encrypt(ENC, from("b"), ESP, "a", back)]), []);
  const capture = await Capture.start(line.net, "d", "up2", AT.end);
  for (const [i, fault] of FAULTS.entries()) {
    await t.test(fault, (t) => die(t, line, faulty[0] as Remote<FaultyDevice>, fault, 7000 + 100 * i, i % 2));
  }
  await capture.stop();
  ivs(t, capture.frames("ip proto 50"), 2);
  for (const { part, control } of line.devices) {
    const [opened] = await control.sas(BigInt(DEC));
    t.strictSame(opened?.failures, {}, `${part}: nothing is taken for a replay`);
    await addsUp(t, { net: line.net, control }, part);
  }
  await faulty[0]?.stop();
  t.equal(await e.device.stop(), 0);
});

async function die(t: Test, line: Line, faulty: Remote<FaultyDevice>, fault: Fault, port: number, worker: number): Promise<void> {
  const { a, b, devices } = line;
  const [{ device, control }] = devices as [LineDevice];
  const ports = Array.from({ length: FLOWS }, (_, i) => port + i);
  const here = await Promise.all(ports.map((one) => a.bind(A.ip4, one)));
  const there = await Promise.all(ports.map((one) => b.bind(B.ip4, one)));
  const of = async () => (await control.stats()).workers[worker];
  const before = { restarts: (await of())?.restarts ?? 0, log: device.log.length };
  await Promise.all([
    ...here.map((one, i) => a.start(one, B.ip4, port + i, SIZE, RATE)),
    ...there.map((one, i) => b.start(one, A.ip4, port + i, SIZE, RATE)),
  ]);
  await sleep(300);
  await faulty.fail(worker, fault);
  await device.logged(new RegExp(`worker ${worker} died`), before.log, 20_000);
  const back = async () => {
    const now = await of();
    return now?.serving === true && now.restarts === before.restarts + 1;
  };
  t.ok(await within(5000, back), "a new one takes its place");
  await sleep(400);
  await Promise.all([...here.map((one) => a.stop(one)), ...there.map((one) => b.stop(one))]);
  await sleep(200);
  await allIdle(line);
  const got = [
    ...(await Promise.all(there.map((one) => b.received(one, 1, 100)))),
    ...(await Promise.all(here.map((one) => a.received(one, 1, 100)))),
  ];
  for (const { packets, distinct } of got) {
    t.equal(packets, distinct, "none arrives twice");
    t.ok(packets > 40, `${packets}: before, and after`);
  }
  await Promise.all([
    ...here.map((one, i) => a.datagrams(one, B.ip4, port + i, 50, SIZE, 500)),
    ...there.map((one, i) => b.datagrams(one, A.ip4, port + i, 50, SIZE, 500)),
  ]);
  for (const one of there) t.equal((await b.received(one, 50)).packets, 50, "afterwards none is lost");
  for (const one of here) t.equal((await a.received(one, 50)).packets, 50, "nor on the way back");
}
