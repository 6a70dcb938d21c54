// A hundred times new keys, make-before-break, both ways at once, while traffic runs both ways through two devices of two workers each.
//
// In turn: the receiver adds the new SA beside the old one, the sender goes over to it, the receiver removes the old one.

import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { EncType, IPSecTunnelType } from "../../src/control/gen/tunneloffload.js";
import { A, B } from "./bump.js";
import { Capture } from "./capture.js";
import { AT, addKey, decrypt, type Esp, encrypt, from, ivs, type Key, newKey, removeKey, switchTo } from "./ipsec.js";
import { allIdle, endLine, type Line, type LineDevice, makeLine } from "./line.js";
import { noNamespaces } from "./namespaces.js";

const TIMES = 100;
/** Milliseconds for packets under the old key to arrive, before it goes. */
const OVERLAP = 80;
const FLOWS = 4;
/** Datagrams per second, of each flow and direction. */
const RATE = 1000;
const SIZE = 200;
const ENC = 1;
const DEC = 2;
const ESP: Esp = { mode: IPSecTunnelType.TUNNEL, encryption: EncType._AES128GCM128, family: 4 };
t.test("rekeyed under traffic", { skip: noNamespaces }, async (t) => {
  const line = await makeLine(t, ["d", "e"], "workers: 2\n");
  const [d, e] = line.devices as [LineDevice, LineDevice];
  const ways: Way[] = [
    { sender: d, receiver: e, key: newKey(0x10000, ESP) },
    { sender: e, receiver: d, key: newKey(0x20000, ESP) },
  ];
  const [out, back] = ways as [Way, Way];
  t.strictSame(
    await d.control.tunnels([decrypt(DEC, from("b"), ESP, [back.key]), encrypt(ENC, from("a"), ESP, "b", out.key)]),
    [],
  );
  t.strictSame(
    await e.control.tunnels([decrypt(DEC, from("a"), ESP, [out.key]), encrypt(ENC, from("b"), ESP, "a", back.key)]),
    [],
  );
  await t.test("without", (t) => underTraffic(t, line, 7000, () => sleep(2000)));
  const capture = await Capture.start(line.net, "d", "up2", AT.end);
  const wrong: string[] = [];
  await t.test(`${TIMES} times`, (t) =>
    underTraffic(t, line, 7100, async () => {
      for (let i = 1; i <= TIMES; i++) {
        const done = await Promise.all(ways.map((way) => rekey(way)));
        wrong.push(...done.flat());
      }
    }),
  );
  t.strictSame(wrong, [], "every change was carried out, and no SA has failures");
  await capture.stop();
  ivs(t, capture.frames("ip proto 50"), 2 * (TIMES + 1));
  for (const { part, control } of line.devices) {
    const { fates, workers } = await control.stats();
    const esp = fates.filter(({ name, packets }) => name.includes("esp") && packets > 0n);
    t.strictSame(esp, [], `${part}: nothing of ESP is dropped`);
    t.strictSame(
      workers.map(({ rxPackets, restarts }) => [rxPackets > 1000n, restarts]),
      Array(2).fill([true, 0]),
      "both workers had their share",
    );
  }
  await endLine(t, line);
});

interface Way {
  readonly sender: LineDevice;
  readonly receiver: LineDevice;
  key: Key;
}

/** @returns what went wrong */
async function rekey(way: Way): Promise<string[]> {
  const { sender, receiver, key: old } = way;
  const key = newKey(old.spi + 1, ESP);
  const wrong = await receiver.control.tunnels([addKey(DEC, ESP, key)]);
  wrong.push(...(await sender.control.tunnels([switchTo(ENC, key)])));
  await sleep(OVERLAP);
  const sas = [...(await receiver.control.sas(BigInt(DEC))), ...(await sender.control.sas(BigInt(ENC)))];
  if (sas.length !== 3 || sas.some(({ failures }) => Object.keys(failures).length > 0)) wrong.push(JSON.stringify(sas, text));
  wrong.push(...(await receiver.control.tunnels([removeKey(DEC, ESP, old)])));
  way.key = key;
  return wrong;
}

const text = (_: string, value: unknown) => (typeof value === "bigint" ? String(value) : value);

/** Each datagram that is sent meanwhile arrives, once. */
async function underTraffic(t: Test, line: Line, port: number, meanwhile: () => Promise<unknown>): Promise<void> {
  const { a, b } = line;
  const ports = Array.from({ length: FLOWS }, (_, i) => port + i);
  const [here, there] = await Promise.all([
    Promise.all(ports.map((one) => a.bind(A.ip4, one))),
    Promise.all(ports.map((one) => b.bind(B.ip4, one))),
  ]);
  const begin = performance.now();
  await Promise.all([
    ...here.map((one, i) => a.start(one, B.ip4, port + i, SIZE, RATE)),
    ...there.map((one, i) => b.start(one, A.ip4, port + i, SIZE, RATE)),
  ]);
  await meanwhile();
  await Promise.all([...here.map((one) => a.stop(one)), ...there.map((one) => b.stop(one))]);
  const seconds = (performance.now() - begin) / 1000;
  // What begins a turn of its loop sends it to the end.
  await sleep(200);
  await allIdle(line);
  const sent = [await Promise.all(here.map((one) => a.stop(one))), await Promise.all(there.map((one) => b.stop(one)))].flat();
  const got = [
    await Promise.all(there.map((one) => b.received(one, 1, 100))),
    await Promise.all(here.map((one) => a.received(one, 1, 100))),
  ].flat();
  t.strictSame(
    got.map(({ distinct }) => distinct),
    sent,
    "none is lost",
  );
  t.strictSame(
    got.map(({ packets }) => packets),
    sent,
    "and none comes twice",
  );
  const all = sent.reduce((sum, one) => sum + one, 0);
  t.ok(all > 1000);
  t.comment(`${all} datagrams in ${seconds.toFixed(1)} s`);
}
