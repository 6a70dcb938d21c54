import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { A, addsUp, B, type Bump, counters, makeBump, program, runDevice } from "./bump.js";
import { type Device, idle } from "./device.js";
import { noNamespaces } from "./namespaces.js";
import { roundTrips, startEcho } from "./probe.js";

const skip = noNamespaces;
const ROUNDS = 3;
const TRIPS = 1000;

t.test("what a device costs", { skip }, async (t) => {
  const bump = await makeBump(t);
  const device = await runDevice(t, bump, ["--workers", "2"]);
  await t.test("an idle one takes less than 2 % of a processor", (t) => processor(t, bump, device));
  await t.test("what it adds to a round trip", (t) => latency(t, bump));
  await addsUp(t, bump);
  t.equal(await device.stop(), 0);
});

async function processor(t: Test, { control }: Bump, { pid }: Device): Promise<void> {
  await sleep(500);
  await idle(control);
  const seconds = 3;
  const before = ticks(pid);
  await sleep(seconds * 1000);
  const percent = (ticks(pid) - before) / seconds;
  t.comment(`idle, two workers: ${percent.toFixed(2)} % of a processor`);
  t.ok(percent < 2, "less than 2 %");
}

/** Hundredths of a second of processor time, user and system, of all threads: fields 14 and 15 of proc(5) stat. */
function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** A measurement, not a judgement: the machine may be busy. Direct veth and device take turns. */
async function latency(t: Test, { net, control }: Bump): Promise<void> {
  net.link("a", "direct", "b", "direct");
  net.sh("a", "ip addr add 10.9.0.1/24 dev direct");
  net.sh("b", "ip addr add 10.9.0.2/24 dev direct");
  await startEcho(net, "b", B.ip4, 7);
  await startEcho(net, "b", "10.9.0.2", 7);
  const session = { id: 7, protocol: "UDP", from: A.ip4, fromPort: 7, to: B.ip4, toPort: 7 } as const;
  t.strictSame(await control.add(program([session])), []);
  const trips = { direct: [] as number[], device: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    const shape = { port: 7, count: TRIPS, perSecond: 1000 };
    trips.direct.push(...(await roundTrips(net, "a", { ...shape, address: "10.9.0.2" })));
    trips.device.push(...(await roundTrips(net, "a", { ...shape, address: B.ip4 })));
  }
  const at = (list: number[], part: number) => list.sort((x, y) => x - y)[Math.floor(list.length * part)];
  const say = (part: number) =>
    `${at(trips.direct, part).toFixed(0)} µs direct, ${at(trips.device, part).toFixed(0)} µs through it`;
  const added = (at(trips.device, 0.5) - at(trips.direct, 0.5)) / 2;
  t.comment(`round trips at 1,000 packets/s: median ${say(0.5)}; 99 of 100 within ${say(0.99)}`);
  t.comment(`median added per pass: ${added.toFixed(0)} µs`);
  t.equal(trips.device.length, ROUNDS * TRIPS, "none is lost");
  const bytes = 14 + 20 + 8 + 64;
  const all = { packets: ROUNDS * TRIPS, bytes: ROUNDS * TRIPS * bytes };
  t.strictSame(counters(await control.delete(7n)), { in: all, out: all }, "all are counted");
}
