// A TCP connection through the device: first by way of the application, then offloaded by a session, then by way of the
// application again; what is counted on its session compared with what tcpdump saw at the hosts.

import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import { CLOSED_BY, STATE } from "./answers.js";
import { A, addsUp, B, type Bump, counters, type Flow, program } from "./bump.js";
import { Capture, type Count } from "./capture.js";
import { idle } from "./device.js";

export interface TcpShape {
  readonly family: 4 | 6;
  /** Offloaded, from a to b; a tenth of it comes back. */
  readonly bytes: number;
  /** How a ends its direction. */
  readonly end: "fin" | "reset";
  readonly connections?: number;
  /** The sessions' VLAN; tcpdump's filters look behind the tag. */
  readonly vlan?: number;
  /** Of a and b, when not those of their eth0. */
  readonly addresses?: readonly [string, string];
  readonly ports: number;
}

const FIRST = 200_000;

/** TCP segments of one direction. Offset 53: the flags behind a plain IPv6 header. */
function filters({ family, vlan }: TcpShape) {
  const tag = vlan === undefined ? "" : `vlan ${vlan} and `;
  const flags = family === 6 ? "ip6[53]" : "tcp[13]";
  return {
    data: (direction: string) => `${tag}(tcp ${direction} and ${flags} & 7 == 0)`,
    control: (direction: string) => `${tag}(tcp ${direction} and ${flags} & 7 != 0)`,
    end: (direction: string, end: "fin" | "reset") => `${tag}(tcp ${direction} and ${flags} & ${end === "fin" ? 1 : 4} != 0)`,
  };
}

export async function tcpOffload(t: Test, bump: Bump, shape: TcpShape): Promise<void> {
  const { net, a, b, control } = bump;
  const { data, control: controls, end } = filters(shape);
  const [from, to] = shape.addresses ?? (shape.family === 6 ? [A.ip6, B.ip6] : [A.ip4, B.ip4]);
  const server = shape.ports;
  const ports = Array.from({ length: shape.connections ?? 1 }, (_, i) => shape.ports + 1 + i);
  const flows = ports.map(
    (port): Flow => ({ id: port, protocol: "TCP", from, fromPort: port, to, toPort: server, vlan: shape.vlan ?? 0 }),
  );
  await b.listen(to, server);

  // No session: all of it meets the application.
  let application = await Capture.start(net, "p", "host1");
  const open = async (port: number) => {
    const here = await a.connect(to, server, port);
    return { port, here, there: await b.accepted(port) };
  };
  const connections = await Promise.all(ports.map(open));
  const both = async ({ here, there }: (typeof connections)[number], bytes: number, back: number, what: string) => {
    const sums = await Promise.all([a.send(here, bytes), b.receive(there, bytes), b.send(there, back), a.receive(here, back)]);
    t.equal(sums[1], sums[0], `${what}: ${bytes} bytes arrive intact`);
    t.equal(sums[3], sums[2], `${what}: ${back} bytes come back intact`);
  };
  await Promise.all(connections.map((one) => both(one, FIRST, FIRST, "without a session")));
  await idle(control);
  await application.stop();
  for (const port of ports) {
    t.ok(application.count(controls(`port ${port}`)).packets >= 2, "the application saw SYN and SYN+ACK");
    t.ok(application.count(data(`dst port ${port}`)).bytes > FIRST, "and the data from b");
    t.ok(application.count(data(`src port ${port}`)).bytes > FIRST, "and the data from a");
  }

  // With a session.
  t.strictSame(await control.add(program(flows)), [], "the device takes the sessions");
  application = await Capture.start(net, "p", "host1");
  const [atA, atB] = await Promise.all([Capture.start(net, "a", "eth0"), Capture.start(net, "b", "eth0")]);
  const begin = performance.now();
  await Promise.all(connections.map((one) => both(one, shape.bytes, shape.bytes / 10, "offloaded")));
  const seconds = (performance.now() - begin) / 1000;
  t.comment(`${((shape.bytes * 1.1 * ports.length) / seconds / 1e6).toFixed(0)} MB/s offloaded (${seconds.toFixed(2)} s)`);
  for (const { here, there } of connections) {
    if (shape.end === "fin") await a.end(here);
    else await a.reset(here);
    t.equal(await b.ended(there), shape.end, `b sees the ${shape.end} of a`);
    if (shape.end === "reset") continue;
    const sums = await Promise.all([b.send(there, FIRST), a.receive(here, FIRST)]);
    t.equal(sums[1], sums[0], "b still sends");
  }
  await idle(control);
  await Promise.all([application.stop(), atA.stop(), atB.stop()]);
  const counted = new Map<number, { in: Count; out: Count }>();
  for (const port of ports) {
    t.equal(application.count(data(`port ${port}`)).packets, 0, "no data packet reached the application");
    // More than one where a segment was under way: a closed socket answers it with a RST.
    t.ok(application.count(end(`src port ${port}`, shape.end)).packets >= 1, `the ${shape.end} did`);
    const wire = { in: atB.count(data(`src port ${port}`)), out: atA.count(data(`dst port ${port}`)) };
    counted.set(port, wire);
    const session = await control.get(BigInt(port));
    t.strictSame(counters(session), wire, "the session counts what tcpdump saw at b (in) and at a (out)");
    t.equal(STATE[Number(session?.sessionState)], shape.end === "fin" ? "_CLOSING_1" : "_CLOSED");
  }

  // And without again.
  for (const port of ports) {
    const last = await control.delete(BigInt(port));
    t.strictSame(counters(last), counted.get(port), "DeleteSession returns the final counters");
    t.equal(CLOSED_BY[Number(last?.sessionCloseCode)], shape.end === "fin" ? "_NOT_CLOSED" : "_RST");
  }
  const closed = await control.closed();
  t.strictSame(
    new Map(closed.map((session) => [Number(session.sessionId), counters(session)])),
    counted,
    "GetClosedSessions reports each with the same counters",
  );
  t.equal(closed.length, ports.length, "once");
  t.strictSame(await control.closed(), [], "and not again");
  application = await Capture.start(net, "p", "host1");
  const later = shape.end === "fin" ? connections : [await open(shape.ports + ports.length + 1)];
  for (const { here, there } of later) {
    const sums = await Promise.all([b.send(there, FIRST), a.receive(here, FIRST)]);
    t.equal(sums[1], sums[0], "data passes after DeleteSession");
    await b.end(there);
    t.equal(await a.ended(here), "fin");
    await a.end(here);
  }
  await sleep(50);
  await application.stop();
  for (const { port } of later) {
    t.ok(application.count(data(`dst port ${port}`)).bytes > FIRST, "by way of the application");
  }
  await addsUp(t, bump);
}
