// How real connections close, and what their sessions say of it, in both modes of sessions.tcpClose. Sessions are added before
// the connections open, so that they count every segment but SYN, FIN and RST: what tcpdump sees at the hosts.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import type { SessionResponse } from "../../src/control/gen/openoffload.js";
import { CLOSED_BY, STATE } from "./answers.js";
import { A, addsUp, B, type Bump, counters, type Flow, makeBump, program, runDevice } from "./bump.js";
import { Capture } from "./capture.js";
import { idle, within } from "./device.js";
import { noNamespaces } from "./namespaces.js";

const skip = noNamespaces;
const BYTES = 50_000;

interface Connection {
  readonly bump: Bump;
  readonly port: number;
  readonly here: number;
  readonly there: number;
}

interface Shape {
  readonly name: string;
  readonly code: "_FINACK" | "_RST";
  readonly family?: 4 | 6;
  readonly timeout?: number;
  /** Brings the connection to its end. */
  readonly close: (t: Test, connection: Connection) => Promise<void>;
}

async function clientFirst(t: Test, { bump: { a, b, control }, here, there, port }: Connection): Promise<void> {
  await a.end(here);
  t.equal(await b.ended(there), "fin");
  t.ok(await within(1000, async () => stateOf(await control.get(BigInt(port))) === "_CLOSING_1"), "_CLOSING_1");
  await b.end(there);
  t.equal(await a.ended(here), "fin");
}

const SHAPES: readonly Shape[] = [
  { name: "the client closes first", code: "_FINACK", close: clientFirst },
  { name: "the client closes first, over IPv6", code: "_FINACK", family: 6, close: clientFirst },
  {
    name: "the server closes first",
    code: "_FINACK",
    async close(t, { bump: { a, b }, here, there }) {
      await b.end(there);
      t.equal(await a.ended(here), "fin");
      await a.end(here);
      t.equal(await b.ended(there), "fin");
    },
  },
  {
    name: "both close at once",
    code: "_FINACK",
    async close(t, { bump: { a, b }, here, there }) {
      await Promise.all([a.end(here), b.end(there)]);
      t.same(await Promise.all([a.ended(here), b.ended(there)]), ["fin", "fin"]);
    },
  },
  {
    name: "the client resets",
    code: "_RST",
    async close(t, { bump: { a, b }, here, there }) {
      await a.reset(here);
      t.equal(await b.ended(there), "reset");
    },
  },
  {
    name: "the server resets, over IPv6",
    code: "_RST",
    family: 6,
    async close(t, { bump: { a, b }, here, there }) {
      await b.reset(there);
      t.equal(await a.ended(here), "reset");
    },
  },
  {
    name: "half closed: the server goes on for a while, then closes",
    code: "_FINACK",
    async close(t, { bump: { a, b, control }, here, there, port }) {
      await a.end(here);
      t.equal(await b.ended(there), "fin");
      for (let times = 0; times < 5; times++) {
        const sums = await Promise.all([b.send(there, BYTES), a.receive(here, BYTES)]);
        t.equal(sums[1], sums[0], "data arrives intact");
        t.equal(stateOf(await control.get(BigInt(port))), "_CLOSING_1");
        await sleep(50);
      }
      await b.end(there);
      t.equal(await a.ended(here), "fin");
    },
  },
  {
    name: "half closed, then the server resets",
    code: "_RST",
    async close(t, { bump: { a, b }, here, there }) {
      await a.end(here);
      t.equal(await b.ended(there), "fin");
      await b.reset(there);
      await a.ended(here);
    },
  },
];

/** A session, its connection, some data both ways, its end. */
async function connection(t: Test, bump: Bump, shape: Shape, server: number, port: number): Promise<void> {
  const { a, b, control } = bump;
  const [from, to] = shape.family === 6 ? [A.ip6, B.ip6] : [A.ip4, B.ip4];
  const { timeout = 60 } = shape;
  const flow: Flow = { id: port, protocol: "TCP", from, fromPort: port, to, toPort: server, timeout };
  t.strictSame(await control.add(program([flow])), []);
  const here = await a.connect(to, server, port);
  const there = await b.accepted(port);
  const sums = await Promise.all([a.send(here, BYTES), b.receive(there, BYTES), b.send(there, BYTES), a.receive(here, BYTES)]);
  t.same([sums[1], sums[3]], [sums[0], sums[2]], "data arrives intact");
  t.equal(stateOf(await control.get(BigInt(port))), "_ESTABLISHED");
  await shape.close(t, { bump, port, here, there });
}

function stateOf(session: SessionResponse | undefined): string | undefined {
  return session === undefined ? undefined : STATE[Number(session.sessionState)];
}

function ends(session: SessionResponse | undefined): unknown {
  return [stateOf(session), CLOSED_BY[Number(session?.sessionCloseCode)]];
}

/** Bytes 13 of TCP and 53 of plain IPv6: the flags. */
function data(side: string, { family = 4 }: Shape): string {
  return `(tcp ${side} and ${family === 6 ? "ip6[53]" : "tcp[13]"} & 7 == 0)`;
}

async function start(t: Test, mode: string): Promise<Bump> {
  const bump = await makeBump(t);
  const file = join(bump.net.directory, "sluice.yaml");
  writeFileSync(file, `sessions: { capacity: 4096, tcpClose: ${mode} }\n`);
  await runDevice(t, bump, ["-c", file]);
  return bump;
}

t.test("tcpClose: application", { skip }, async (t) => {
  const bump = await start(t, "application");
  const { a, b, net, control } = bump;
  await Promise.all([b.listen(B.ip4, 4000), b.listen(B.ip6, 4600)]);
  const [atA, atB] = await Promise.all([Capture.start(net, "a", "eth0"), Capture.start(net, "b", "eth0")]);

  for (const [i, shape] of SHAPES.entries()) {
    const port = 4001 + i;
    await t.test(shape.name, async (t) => {
      await connection(t, bump, shape, shape.family === 6 ? 4600 : 4000, port);
      const closed = async () => stateOf(await control.get(BigInt(port))) === "_CLOSED";
      t.ok(await within(2000, closed), "_CLOSED");
      t.same(ends(await control.get(BigInt(port))), ["_CLOSED", shape.code], "as seen");
    });
  }
  await t.test("they stay, until they are deleted, and are reported once with what they counted", async (t) => {
    await idle(control);
    await Promise.all([atA.stop(), atB.stop()]);
    t.same(await control.closed(), []);
    t.equal((await control.list()).length, SHAPES.length);
    const wanted = SHAPES.map((shape, i) => ({
      in: atB.count(data(`src port ${4001 + i}`, shape)),
      out: atA.count(data(`dst port ${4001 + i}`, shape)),
    }));
    const deleted: SessionResponse[] = [];
    for (const [i, shape] of SHAPES.entries()) {
      const last = await control.delete(BigInt(4001 + i));
      t.same(ends(last), ["_CLOSED", shape.code]);
      t.strictSame(counters(last), wanted[i], `${shape.name}: what tcpdump saw at b (in) and at a (out)`);
      if (last !== undefined) deleted.push(last);
    }
    t.strictSame(await control.closed(), deleted);
  });
  await t.test("one that ages says how TCP closed it", async (t) => {
    await connection(t, bump, { ...(SHAPES[0] as Shape), timeout: 1 }, 4000, 4050);
    t.ok(await within(1500, async () => stateOf(await control.get(4050n)) === "_CLOSED"));
    t.ok(await within(3000, async () => (await control.get(4050n)) === undefined), "it goes at its timeout");
    t.same((await control.closed()).map(ends), [["_CLOSED", "_FINACK"]]);
  });
  await t.test("the same ports again while the session exists: established again, and offloaded", async (t) => {
    for (const [port, first] of [
      [4060, SHAPES[2]],
      [4061, SHAPES[4]],
    ] as const) {
      await connection(t, bump, first as Shape, 4000, port);
      t.ok(await within(1000, async () => stateOf(await control.get(BigInt(port))) === "_CLOSED"));
      const before = await control.get(BigInt(port));
      // `accepted` finds the first connection of a port: only a's side is looked at from here on.
      const here = await a.connect(B.ip4, 4000, port);
      t.same(ends(await control.get(BigInt(port))), ["_ESTABLISHED", "_NOT_CLOSED"]);
      await a.send(here, BYTES);
      const more = async () => Number((await control.get(BigInt(port)))?.inBytes) - Number(before?.inBytes) > BYTES;
      t.ok(await within(1000, more), "its data counts on the session");
      await a.reset(here);
      t.ok(await within(1000, async () => stateOf(await control.get(BigInt(port))) === "_CLOSED"));
      t.same(ends(await control.delete(BigInt(port))), ["_CLOSED", "_RST"], "how the last connection ended");
    }
  });
  await addsUp(t, bump);
});

t.test("tcpClose: device", { skip }, async (t) => {
  const bump = await start(t, "device");
  const { a, b, net, control } = bump;
  await Promise.all([b.listen(B.ip4, 4000), b.listen(B.ip6, 4600)]);
  const [atA, atB] = await Promise.all([Capture.start(net, "a", "eth0"), Capture.start(net, "b", "eth0")]);
  await control.follow();
  const reports: { readonly session: SessionResponse; readonly at: number }[] = [];
  const reported = async (port: number) => {
    reports.push(...(await control.followed()));
    return reports.some(({ session }) => session.sessionId === BigInt(port));
  };

  for (const [i, shape] of SHAPES.entries()) {
    const port = 4001 + i;
    await t.test(shape.name, async (t) => {
      await connection(t, bump, shape, shape.family === 6 ? 4600 : 4000, port);
      t.ok(await within(1000, () => reported(port)), "it leaves at once and is reported");
      const { session, at } = reports.at(-1) as (typeof reports)[number];
      t.same(ends(session), ["_CLOSED", shape.code]);
      const late = at - (Number(session.endTime?.seconds) * 1000 + Number(session.endTime?.nanos) / 1e6);
      t.ok(late < 500, `reported after ${late} ms`);
      t.equal(await control.get(BigInt(port)), undefined, "it is gone");
    });
  }
  await t.test("each once, with what they counted", async (t) => {
    await idle(control);
    await Promise.all([atA.stop(), atB.stop()]);
    t.equal((await control.list()).length, 0);
    await reported(0);
    t.same(
      reports.map(({ session }) => Number(session.sessionId)),
      SHAPES.map((_, i) => 4001 + i),
    );
    for (const [i, shape] of SHAPES.entries()) {
      const wanted = {
        in: atB.count(data(`src port ${4001 + i}`, shape)),
        out: atA.count(data(`dst port ${4001 + i}`, shape)),
      };
      t.strictSame(counters(reports[i]?.session), wanted, `${shape.name}: what tcpdump saw at b (in) and at a (out)`);
    }
  });
  await t.test("the same ports again at once: either the session had left, or it lives on with the new connection", async (t) => {
    let left = 0;
    for (let port = 4060; port < 4080; port++) {
      reports.length = 0;
      await connection(t, bump, SHAPES[4] as Shape, 4000, port);
      // The device looks every 20 ms.
      await sleep((port % 10) * 2);
      const here = await a.connect(B.ip4, 4000, port);
      const before = await control.get(BigInt(port));
      await sleep(50);
      const after = await control.get(BigInt(port));
      t.same(ends(after), ends(before), "decided by then");
      if (after === undefined) {
        left++;
        t.ok(await reported(port), "gone with the first connection");
        t.same(
          reports.map(({ session }) => ends(session)),
          [["_CLOSED", "_RST"]],
        );
        await a.reset(here);
      } else {
        t.same(ends(after), ["_ESTABLISHED", "_NOT_CLOSED"]);
        await a.reset(here);
        t.ok(await within(1000, () => reported(port)), "it goes with the second");
      }
      await sleep(30);
      await reported(port);
      t.equal(reports.length, 1, "reported once");
    }
    t.comment(`${left} of 20 had left before the next SYN`);
  });
  await addsUp(t, bump);
});
