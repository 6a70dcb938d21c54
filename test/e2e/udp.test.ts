import t, { type Test } from "tap";
import { CLOSED_BY } from "./answers.js";
import { A, addsUp, B, type Bump, counters, makeBump, program, runDevice } from "./bump.js";
import { Capture } from "./capture.js";
import { idle, met } from "./device.js";
import { noNamespaces } from "./namespaces.js";
import { answeredPings } from "./probe.js";

const skip = noNamespaces;
const COUNT = 1000;
const SIZE = 700;

t.test("UDP and what is no flow", { skip }, async (t) => {
  const bump = await makeBump(t);
  const device = await runDevice(t, bump);
  await t.test("UDP over IPv4, offloaded both ways", (t) => datagrams(t, bump, A.ip4, B.ip4, 6000, `udp port 6000`));
  await t.test("UDP over IPv6, offloaded both ways", (t) => datagrams(t, bump, A.ip6, B.ip6, 6100, `udp port 6100`));
  await t.test("a datagram in fragments goes through the application and arrives", (t) => fragments(t, bump));
  await t.test("ping goes through the application", (t) => ping(t, bump));
  await t.test("a DROP session stops its datagrams and counts them", (t) => drop(t, bump));
  await t.test("a silent session ages on time, and its flow meets the application again", (t) => age(t, bump));
  t.equal(await device.stop(), 0);
});

async function datagrams(t: Test, bump: Bump, from: string, to: string, port: number, flow: string): Promise<void> {
  const { net, a, b, control } = bump;
  const [here, there] = [await a.bind(from, port), await b.bind(to, port)];
  await a.datagrams(here, to, port, 10, SIZE);
  t.equal((await b.received(there, 10)).packets, 10, "without a session they arrive");
  const session = { id: port, protocol: "UDP", from, fromPort: port, to, toPort: port } as const;
  t.strictSame(await control.add(program([session])), []);
  const at = await Promise.all([
    Capture.start(net, "p", "host1"),
    Capture.start(net, "b", "eth0"),
    Capture.start(net, "a", "eth0"),
  ]);
  await Promise.all([a.datagrams(here, to, port, COUNT, SIZE), b.datagrams(there, from, port, COUNT, SIZE + 1)]);
  const [atB, atA] = [await b.received(there, COUNT), await a.received(here, COUNT)];
  t.match(atB, { packets: COUNT, distinct: COUNT, bytes: COUNT * SIZE }, "each from a arrives once");
  t.match(atA, { packets: COUNT, distinct: COUNT, bytes: COUNT * (SIZE + 1) }, "each from b arrives once");
  await idle(control);
  await Promise.all(at.map((capture) => capture.stop()));
  const headers = from.includes(":") ? 14 + 40 + 8 : 14 + 20 + 8;
  const wanted = {
    in: { packets: COUNT, bytes: COUNT * (headers + SIZE) },
    out: { packets: COUNT, bytes: COUNT * (headers + SIZE + 1) },
  };
  t.strictSame({ in: at[1].count(`${flow} and src host ${from}`), out: at[2].count(`${flow} and src host ${to}`) }, wanted);
  t.strictSame(counters(await control.get(BigInt(port))), wanted, "the session counts them");
  t.equal(at[0].count(flow).packets, 0, "none reached the application");
  t.strictSame(counters(await control.delete(BigInt(port))), wanted);
  await addsUp(t, bump);
}

async function fragments(t: Test, bump: Bump): Promise<void> {
  const { net, a, b, control } = bump;
  const port = 6200;
  const [here, there] = [await a.bind(A.ip4, port), await b.bind(B.ip4, port)];
  const session = { id: port, protocol: "UDP", from: A.ip4, fromPort: port, to: B.ip4, toPort: port } as const;
  t.strictSame(await control.add(program([session])), []);
  const [before, application] = [await met(control, "fragment"), await Capture.start(net, "p", "host1")];
  await a.datagrams(here, B.ip4, port, 5, 8000);
  t.match(await b.received(there, 5), { packets: 5, bytes: 40_000, distinct: 5 }, "they arrive");
  await idle(control);
  await application.stop();
  // 8,008 bytes of UDP in fragments of 1,480.
  t.equal(application.count(`src host ${A.ip4} and ip[6:2] & 0x3fff != 0`).packets, 5 * 6, "by way of the application");
  t.equal((await met(control, "fragment")) - before, 5 * 6, "counted by kind");
  t.strictSame(counters(await control.delete(BigInt(port)))?.in, { packets: 0, bytes: 0 }, "the session did not see them");
  await addsUp(t, bump);
}

async function ping(t: Test, bump: Bump): Promise<void> {
  const application = await Capture.start(bump.net, "p", "host1");
  t.equal(answeredPings(bump.net, "a", B.ip4, 20), 20);
  await application.stop();
  t.equal(application.count("icmp[0] == 8").packets, 20, "requests");
  t.equal(application.count("icmp[0] == 0").packets, 20, "replies");
  await addsUp(t, bump);
}

async function drop(t: Test, bump: Bump): Promise<void> {
  const { a, b, control } = bump;
  const port = 6300;
  const [here, there] = [await a.bind(A.ip4, port), await b.bind(B.ip4, port)];
  const session = { id: port, protocol: "UDP", from: A.ip4, fromPort: port, to: B.ip4, toPort: port, action: "DROP" } as const;
  await a.datagrams(here, B.ip4, port, 10, SIZE);
  t.equal((await b.received(there, 10)).packets, 10, "they arrive");
  t.strictSame(await control.add(program([session])), []);
  const before = await met(control, "session-drop");
  await Promise.all([a.datagrams(here, B.ip4, port, 100, SIZE), b.datagrams(there, A.ip4, port, 50, SIZE)]);
  await idle(control);
  t.match([await b.received(there, 1, 100), await a.received(here, 1, 100)], [{ packets: 0 }, { packets: 0 }], "none arrives");
  const bytes = 14 + 20 + 8 + SIZE;
  t.strictSame(
    counters(await control.delete(BigInt(port))),
    { in: { packets: 100, bytes: 100 * bytes }, out: { packets: 50, bytes: 50 * bytes } },
    "counted on the session",
  );
  t.equal((await met(control, "session-drop")) - before, 150, "and as dropped");
  await a.datagrams(here, B.ip4, port, 10, SIZE);
  t.equal((await b.received(there, 10)).packets, 10, "they arrive again");
  await addsUp(t, bump);
}

async function age(t: Test, bump: Bump): Promise<void> {
  const { net, a, b, control } = bump;
  const port = 6400;
  const [here, there] = [await a.bind(A.ip4, port), await b.bind(B.ip4, port)];
  const session = { id: port, protocol: "UDP", from: A.ip4, fromPort: port, to: B.ip4, toPort: port, timeout: 2 } as const;
  await control.closed();
  await control.follow();
  t.strictSame(await control.add(program([session])), []);
  // Longer than its timeout: it must live while it is used.
  await a.datagrams(here, B.ip4, port, 300, SIZE, 100);
  const { packets, last } = await b.received(there, 300);
  t.equal(packets, 300);
  t.equal((await control.list()).length, 1, "it lives while it is used");
  await new Promise((resolve) => setTimeout(resolve, last + 3200 - Date.now()));
  const gone = await control.followed();
  t.equal(gone.length, 1, "it is reported");
  const { at, session: info } = gone[0];
  t.comment(`reported ${at - last} ms after its last packet`);
  t.ok(at - last >= 1990 && at - last <= 3100, "within a second of being due");
  t.equal(CLOSED_BY[Number(info.sessionCloseCode)], "_TIMEOUT");
  const none = { packets: 0, bytes: 0 };
  t.strictSame(counters(info), { in: { packets: 300, bytes: 300 * (14 + 20 + 8 + SIZE) }, out: none }, "with exact counters");
  t.equal((await control.list()).length, 0, "it is gone");
  const application = await Capture.start(net, "p", "host1");
  await a.datagrams(here, B.ip4, port, 20, SIZE);
  t.equal((await b.received(there, 20)).packets, 20, "its flow goes on");
  await application.stop();
  t.equal(application.count(`udp port ${port}`).packets, 20, "through the application");
  await addsUp(t, bump);
}
