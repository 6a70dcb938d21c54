import { createServer } from "node:net";
import { pino } from "pino";
import t, { type Test } from "tap";
import { SluiceClient } from "../../src/control/client.js";
import { startServer } from "../../src/control/server.js";
import { sessionService } from "../../src/control/session-service.js";
import { statsService } from "../../src/control/stats-service.js";
import { SluiceError } from "../../src/errors.js";
import { add, until } from "./calls.js";
import { RULES, range, request, startDevice, type TestDevice } from "./device.js";

async function connected(t: Test, options = {}): Promise<{ device: TestDevice; client: SluiceClient }> {
  const device = await startDevice(options);
  const client = new SluiceClient(device.target);
  t.teardown(async () => {
    client.close();
    await device.stop();
  });
  return { device, client };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) {
    list.push(item);
  }
  return list;
}

t.test("sends any number of sessions and tells the fate of each that failed", async (t) => {
  const { device, client } = await connected(t);
  t.same(await client.addSessions(range(1, 200).map((id) => request(id))), []);
  t.equal(device.sessions.stats.added, 199);
  const errors = await client.addSessions([
    request(500),
    request(1),
    ...range(501, 600).map((id) => request(id)),
    request(600, { inLif: 9 }),
    request(0, { sourceIp: request(2).sourceIp }),
  ]);
  t.match(errors, [
    { index: 1, status: 4, sentence: "its session_id or one of its two flows is taken by another session" },
    { index: 101, status: 1, sentence: "in_lif 9 is not configured; there are 1, 2, 3" },
    { index: 102, status: 4 },
  ]);
});

t.test("a full table and a device that cannot serve are told in words", async (t) => {
  const { device, client } = await connected(t, { capacity: 1 });
  t.match(await client.addSessions([request(1), request(2)]), [
    { index: 0, sentence: "the session table is full" },
    { index: 1, status: 2 },
  ]);
  device.ready = false;
  t.match(await client.addSessions([request(1)]), [{ index: 0, sentence: /starting, stopping, or has no worker/ }]);
});

for (const missingSession of ["response", "status"] as const) {
  t.test(`gets, lists and deletes (missingSession: ${missingSession})`, async (t) => {
    const { client } = await connected(t, { missingSession, capacity: 10_000 });
    await client.addSessions(range(1, 6001).map((id) => request(id)));
    t.match(await client.getSession(5n), { sessionId: 5n });
    t.equal(await client.getSession(9999n), undefined);
    t.match(await client.deleteSession(5n), { sessionId: 5n });
    t.equal(await client.deleteSession(5n), undefined);
    const listed = (await all(client.sessions())).map((session) => Number(session.sessionId));
    t.same(
      listed,
      range(1, 6001).filter((id) => id !== 5),
    );
    t.match(await all(client.closedSessions()), [{ sessionId: 5n }]);
    t.same(await all(client.closedSessions()), []);
  });
}

t.test("follows closed sessions until it has seen enough", async (t) => {
  const { device, client } = await connected(t);
  await client.addSessions([request(1), request(2)]);
  const seen: bigint[] = [];
  setTimeout(() => void device.sessions.delete(1n, 5).then(() => device.sessions.delete(2n, 5)), 50);
  for await (const { sessionId } of client.closedSessions(true)) {
    seen.push(sessionId);
    if (seen.length === 2) {
      break;
    }
  }
  t.same(seen, [1n, 2n]);
  await until(() => device.closed.waiting === 2);
});

t.test("no device, no answer, or something else there: errors that say the address and what to check", async (t) => {
  const message = async (call: Promise<unknown>): Promise<string> => {
    try {
      await call;
    } catch (error) {
      if (error instanceof SluiceError && error.code === "grpc") {
        return error.message;
      }
      throw error;
    }
    throw new Error("no error");
  };
  const free = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => free.once("listening", resolve));
  const { port } = free.address() as { port: number };
  await new Promise((resolve) => free.close(resolve));
  const nobody = new SluiceClient(`127.0.0.1:${port}`);
  t.teardown(() => nobody.close());
  const expected = new RegExp(`^no device answers at 127.0.0.1:${port} .*Is "sluice run" running there`);
  t.match(await message(nobody.getSession(1n)), expected);
  t.match(await message(nobody.addSessions([request(1)])), expected);
  t.match(await message(all(nobody.sessions())), expected);
  t.match(await message(all(nobody.closedSessions())), expected);
  t.match(await message(nobody.stats()), expected);

  const { client } = await connected(t);
  t.match(await message(client.stats()), /^what answers at .* is not Sluice, or not of this version/);
});

t.test("finds the session that was created last, by its place or by walking on from there", async (t) => {
  const { device } = await connected(t, { capacity: 10_000 });
  const service = (active: number) => {
    const sessions = { capacity: 1n, active: BigInt(active), added: 0n, aged: 0n, deleted: 0n };
    const stats = {
      ports: [],
      fates: [],
      workers: [],
      sessions: { ...sessions, closedByTcp: 0n, closedWaiting: 0n, closedDropped: 0n },
      tunnels: undefined,
    };
    return statsService(() => stats, pino({ level: "silent" }));
  };
  // What the statistics say is a moment old.
  for (const [active, newest] of [
    [0, 0n],
    [5000, 5000n],
    [4990, 5000n],
    [5010, 5000n],
  ] as const) {
    if (newest > 0n && device.sessions.stats.added === 0) {
      await add(
        device.client,
        range(1, 5001).map((id) => request(id)),
      );
    }
    const session = sessionService({
      sessions: device.sessions,
      closed: device.closed,
      rules: RULES,
      missingSession: "response",
      ready: () => true,
      now: Date.now,
      log: pino({ level: "silent" }),
    });
    const server = await startServer({ listen: "127.0.0.1:0" }, [session, service(active)]);
    const client = new SluiceClient(`127.0.0.1:${server.port}`);
    t.equal(await client.newest(), newest, `${active} active`);
    client.close();
    await server.stop(100);
  }
});

t.test("reads the device's statistics", async (t) => {
  const stats = { ports: [], fates: [], workers: [], sessions: undefined, tunnels: undefined };
  const server = await startServer({ listen: "127.0.0.1:0" }, [statsService(() => stats, pino({ level: "silent" }))]);
  const client = new SluiceClient(`127.0.0.1:${server.port}`);
  t.teardown(async () => {
    client.close();
    await server.stop(100);
  });
  t.same(await client.stats(), stats);
});
