import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type ClientReadableStream, Metadata, status } from "@grpc/grpc-js";
import t from "tap";
import type { SessionResponse } from "../../src/control/gen/openoffload.js";
import { CloseCode, type SessionInfo, State } from "../../src/table/session.js";
import { codeOf, poll, until } from "./calls.js";
import { range, startDevice, type TestDevice } from "./device.js";

function close(device: TestDevice, from: number, to: number): void {
  for (const id of range(from, to)) {
    const info: SessionInfo = {
      id: BigInt(id),
      inPackets: id,
      outPackets: 0,
      inBytes: 0,
      outBytes: 0,
      state: State.closed,
      closeCode: CloseCode.rst,
      startTime: 1000,
      endTime: 2000,
    };
    device.closed.push(info);
  }
}

function open(device: TestDevice, follow: boolean, pageSize = 0): ClientReadableStream<SessionResponse> {
  const metadata = new Metadata();
  if (follow) {
    metadata.set("sluice-follow", "1");
  }
  return device.client.getClosedSessions({ pageSize, page: 0, startSession: 0n }, metadata);
}

/** Ids that a stream has delivered so far; errors of a cancelled stream are expected. */
function received(stream: ClientReadableStream<SessionResponse>): number[] {
  const ids: number[] = [];
  stream.on("data", (session: SessionResponse) => ids.push(Number(session.sessionId)));
  stream.on("error", () => {});
  return ids;
}

t.test("nothing closed: an empty, successful stream; else each record once, with its fields", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  t.same(await poll(device.client), []);
  close(device, 1, 4);
  const all: SessionResponse[] = [];
  for await (const session of open(device, false)) {
    all.push(session as SessionResponse);
  }
  t.match(all, [
    {
      sessionId: 1n,
      inPackets: 1n,
      sessionState: 3,
      sessionCloseCode: 2,
      requestStatus: 0,
      startTime: { seconds: 1n, nanos: 0 },
      endTime: { seconds: 2n, nanos: 0 },
    },
    { sessionId: 2n },
    { sessionId: 3n },
  ]);
  t.same(await poll(device.client), []);
  t.equal(device.closed.waiting, 0);
});

t.test("page_size bounds a poll; the next one goes on", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  close(device, 1, 101);
  t.same(await poll(device.client, 30), range(1, 31));
  t.same(await poll(device.client, 30), range(31, 61));
  t.same(await poll(device.client, 4294967295), range(61, 101));
});

t.test("a poll ends with what was closed when it began, however fast sessions close meanwhile", async (t) => {
  const device = await startDevice({ backlog: 100_000 });
  t.teardown(() => device.stop());
  close(device, 0, 500);
  const ids: number[] = [];
  let next = 500;
  for await (const session of open(device, false)) {
    ids.push(Number((session as SessionResponse).sessionId));
    close(device, next, next + 10);
    next += 10;
  }
  t.same(ids, range(0, 500));
  t.same(await poll(device.client), range(500, next));
});

t.test("records of a poll that breaks off are delivered again, in order", async (t) => {
  const device = await startDevice({ backlog: 100_000 });
  t.teardown(() => device.stop());
  close(device, 0, 50_000);
  const stream = open(device, false);
  const ids = received(stream);
  await until(() => ids.length > 100);
  stream.cancel();
  await until(() => device.closed.waiting === 50_000);
  t.same(ids, range(0, ids.length));
  t.ok(ids.length < 50_000);
  t.same(await poll(device.client), range(0, 50_000));
});

t.test("records of a client that is killed in the middle are delivered again, in order", async (t) => {
  const device = await startDevice({ backlog: 100_000 });
  t.teardown(() => device.stop());
  close(device, 0, 50_000);
  const client = spawnClient(device.target);
  await line(client);
  for (let seen = -1; seen !== device.closed.waiting; ) {
    seen = device.closed.waiting;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  const held = 50_000 - device.closed.waiting;
  t.ok(held > 0 && held < 50_000, `a client that does not read holds ${held} of 50,000 records`);
  t.same(await poll(device.client, 10), range(held, held + 10), "others go on behind them");
  client.kill("SIGKILL");
  await until(() => device.closed.waiting === 50_000 - 10);
  t.same(await poll(device.client), [...range(0, held), ...range(held + 10, 50_000)]);
});

t.test("pollers at the same time never get the same record", async (t) => {
  const device = await startDevice({ backlog: 100_000 });
  t.teardown(() => device.stop());
  close(device, 0, 20_000);
  const polls = await Promise.all([poll(device.client), poll(device.client, 7), poll(device.client), poll(device.client)]);
  t.ok(
    polls.every((ids) => ids.every((id, i) => i === 0 || id > (ids[i - 1] as number))),
    "each in order",
  );
  const all = polls.flat().sort((a, b) => a - b);
  const rest = await poll(device.client);
  t.same([...all, ...rest], range(0, 20_000));
});

t.test("sluice-follow: 1 stays open and sends sessions as they close", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  close(device, 1, 3);
  const stream = open(device, true, 1);
  const ids = received(stream);
  await until(() => ids.length === 2);
  close(device, 3, 5);
  await until(() => ids.length === 4);
  t.same(ids, [1, 2, 3, 4]);
  t.same(await poll(device.client), [], "they are in the hands of the follower");
  stream.cancel();
  await until(() => device.closed.waiting === 4);
  t.same(await poll(device.client), [1, 2, 3, 4], "it broke off before their time: again");
});

t.test("a follow stream is seen by its client before anything has closed", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  const stream = open(device, true);
  received(stream);
  await new Promise((resolve) => stream.once("metadata", resolve));
  stream.cancel();
});

t.test("a follow stream's record is forgotten its time after it was written, not before", async (t) => {
  const device = await startDevice({ followHoldMs: 1000 });
  t.teardown(() => device.stop());
  const stream = open(device, true);
  const ids = received(stream);
  close(device, 0, 3);
  await until(() => ids.length === 3);
  await new Promise((resolve) => setTimeout(resolve, 900));
  close(device, 3, 5);
  await until(() => ids.length === 5);
  await new Promise((resolve) => setTimeout(resolve, 600));
  stream.cancel();
  await until(() => device.closed.waiting > 0);
  t.same(await poll(device.client), [3, 4]);
});

t.test("of two followers each record goes to one, and what one leaves goes to the other", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  const one = open(device, true);
  const first = received(one);
  const second = received(open(device, true));
  await new Promise((resolve) => setTimeout(resolve, 50));
  close(device, 0, 200);
  await until(() => first.length + second.length === 200);
  t.same(
    [...first, ...second].sort((a, b) => a - b),
    range(0, 200),
  );
  const lost = [...first];
  one.cancel();
  await until(() => second.length === 200);
  t.same(second.slice(200 - lost.length), lost);
});

t.test("at the bound of the backlog the oldest go, and are counted", async (t) => {
  const device = await startDevice({ backlog: 10 });
  t.teardown(() => device.stop());
  close(device, 0, 25);
  t.equal(device.closed.dropped, 15);
  t.same(await poll(device.client), range(15, 25));
});

t.test("more than 256 streams at a time are refused", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  const streams = range(0, 256).map(() => open(device, true));
  for (const stream of streams) {
    stream.on("error", () => {});
  }
  await Promise.all(streams.map((stream) => new Promise((resolve) => stream.once("metadata", resolve))));
  t.match(await codeOf(poll(device.client)), { code: status.RESOURCE_EXHAUSTED, details: /256 calls/ });
  for (const stream of streams) {
    stream.cancel();
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.same(await poll(device.client), []);
});

t.test("a server that stops ends follow streams, and their clients see a good end", async (t) => {
  const device = await startDevice();
  const stream = open(device, true);
  const ids = received(stream);
  close(device, 0, 2);
  await until(() => ids.length === 2);
  const ended = new Promise<number>((resolve) => stream.on("status", ({ code }) => resolve(code)));
  const before = performance.now();
  await device.server.stop(10_000);
  device.client.close();
  t.equal(await ended, status.OK);
  t.ok(performance.now() - before < 5000, "without the grace time");
  t.equal(device.closed.waiting, 2);
});

function spawnClient(target: string): ChildProcess {
  const script = fileURLToPath(new URL("closed-client.js", import.meta.url));
  return spawn(process.execPath, [script, target], { stdio: ["ignore", "pipe", "inherit"] });
}

function line(client: ChildProcess): Promise<string> {
  return new Promise((resolve) => createInterface(client.stdout as NodeJS.ReadableStream).once("line", resolve));
}
