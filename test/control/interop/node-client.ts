// A Node client as another vendor would write it: grpc-js, and proto-loader on the published proto files instead of any code
// that we generated. Arguments: target, path of openoffload.proto. Prints a line of JSON for each scenario, as client.py does.
//
// The device has lifs 1 and 2, capacity 256, and the defaults else.

import { ok, deepStrictEqual as same } from "node:assert/strict";
import {
  type CallOptions,
  type Client,
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceError,
  type ServiceClientConstructor as StubConstructor,
  status,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [target, proto] = process.argv.slice(2) as [string, string];

/** With `longs: String` and `enums: String`, as most of proto-loader's users have it. */
interface Session {
  readonly sessionId: string;
  readonly inPackets: string;
  readonly sessionState: string;
  readonly sessionCloseCode: string;
  readonly requestStatus: string;
  readonly startTime: { readonly seconds: string; readonly nanos: number } | null;
  readonly endTime: { readonly seconds: string; readonly nanos: number } | null;
}
interface Added {
  readonly requestStatus: string;
  readonly errorStatus: string;
  readonly startTime: { readonly seconds: string } | null;
  readonly responseError: readonly { readonly sessionId: string; readonly errorStatus: number | string }[];
}
interface Page {
  readonly sessionInfo: readonly Session[];
  readonly nextKey: string;
}
type Fields = Readonly<Record<string, unknown>>;
type Done<T> = (error: ServiceError | null, answer: T) => void;

interface Stub extends Client {
  addSession(options: CallOptions, done: Done<Added>): ClientWritableStream<Fields>;
  getSession(id: Fields, done: Done<Session>): void;
  deleteSession(id: Fields, done: Done<Session>): void;
  getAllSessions(args: Fields, done: Done<Page>): void;
  getClosedSessions(args: Fields, metadata?: Metadata): ClientReadableStream<Session>;
}

const definition = loadSync(proto, { longs: String, enums: String, defaults: true });
const { openoffload } = loadPackageDefinition(definition) as unknown as {
  openoffload: { v2: { SessionTable: StubConstructor } };
};

function connect(): Stub {
  return new openoffload.v2.SessionTable(target, credentials.createInsecure()) as unknown as Stub;
}

const client = connect();

function answer<T>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value))));
}

function add(requests: readonly Fields[], options: CallOptions = {}): Promise<Added> {
  return answer((done) => {
    const call = client.addSession(options, done);
    for (const request of requests) call.write(request);
    call.end();
  });
}

const get = (sessionId: unknown) => answer<Session>((done) => client.getSession({ sessionId }, done));
const del = (sessionId: unknown) => answer<Session>((done) => client.deleteSession({ sessionId }, done));
const list = (args: Fields) => answer<Page>((done) => client.getAllSessions(args, done));

async function poll(args: Fields = {}): Promise<Session[]> {
  const all: Session[] = [];
  for await (const one of client.getClosedSessions(args)) all.push(one as Session);
  return all;
}

function ids(sessions: readonly Session[]): number[] {
  return sessions.map(({ sessionId }) => Number(sessionId));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** api.md 1: 10.9.x.y as the number that inet_pton leaves in memory, read as a little-endian uint32. */
function session(id: number, more: Fields = {}): Fields {
  return {
    ...{ sessionId: id, inLif: 1, outLif: 2, ipVersion: "_IPV4", protocolId: "_TCP" },
    ...{ sourceIp: Buffer.of(10, 9, id >> 8, id & 255).readUInt32LE(), sourcePort: 1234 },
    ...{ destinationIp: Buffer.of(10, 1, 0, 1).readUInt32LE(), destinationPort: 80 },
    ...{ action: { actionType: "_FORWARD" }, cacheTimeout: 3600 },
    ...more,
  };
}

async function listed(): Promise<number[]> {
  return ids((await list({})).sessionInfo);
}

async function clear(): Promise<void> {
  await Promise.all((await listed()).map(del));
  await poll();
}

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function codeOf(call: Promise<unknown>): Promise<status> {
  try {
    await call;
  } catch (error) {
    return (error as ServiceError).code;
  }
  return status.OK;
}

/**
 * Node's HTTP/2 ends a cancelled stream well before it resets it, and the device waits 10 ms for that: a client that gets no
 * processor in between is too late, once in a while.
 */
async function leavesNothing(code: status, call: (done: Done<Added>) => void): Promise<void> {
  let left: number[] = [];
  for (let tries = 0; tries < 3; tries++) {
    same(await codeOf(answer<Added>(call)), code);
    await sleep(50);
    left = await listed();
    if (left.length === 0) return;
    await clear();
  }
  same(left, []);
}

const scenarios: Record<string, () => Promise<void>> = {
  async "64 sessions in a stream, the bit mask as a 64-bit number"() {
    const batch = range(1, 64).map((id) => session(id));
    const good = await add(batch);
    same([good.requestStatus, good.errorStatus, good.responseError], ["_SESSION_ACCEPTED", "0", []]);
    ok(good.startTime !== null);
    same(await listed(), range(1, 64));
    const again = await add(batch);
    same([again.requestStatus, again.errorStatus], ["_SESSION_ALREADY_EXISTS", "18446744073709551615"]);
    const bad = await add([session(100, { inLif: 0 }), session(101), session(1)]);
    same([bad.requestStatus, bad.errorStatus], ["_SESSION_REJECTED", "5"]);
    // A plain int32 in the contract, which carries AddSessionStatus.
    same(
      bad.responseError.map(({ sessionId, errorStatus }) => [sessionId, Number(errorStatus)]),
      [
        ["100", 1],
        ["1", 4],
      ],
    );
  },

  async "a batch of 64 within a deadline of 100 ms"() {
    let answered = 0;
    for (let turn = 0; turn < 10; turn++) {
      const code = await codeOf(
        add(
          range(1, 64).map((id) => session(id)),
          { deadline: Date.now() + 100 },
        ),
      );
      ok(code === status.OK || code === status.DEADLINE_EXCEEDED, `code ${code}`);
      if (code === status.OK) answered++;
      await clear();
    }
    // A machine that is busy with other tests may miss some.
    ok(answered >= 6, `${answered} of 10`);
  },

  async "a batch that is cancelled, or whose deadline passes, leaves nothing"() {
    for (const count of [1, 64]) {
      const write = (call: ClientWritableStream<Fields>) => {
        for (const id of range(1, count)) call.write(session(id));
        return call;
      };
      await leavesNothing(status.CANCELLED, (done) => {
        const call = write(client.addSession({}, done));
        setTimeout(() => call.cancel(), 50);
      });
      await leavesNothing(status.DEADLINE_EXCEEDED, (done) => write(client.addSession({ deadline: Date.now() + 100 }, done)));
    }
  },

  async "id 0, IPv6 in two forms, VLANs, MIRROR to an unknown next hop"() {
    const v6 = { ipVersion: "_IPV6", destinationIpv6: Buffer.from("20010db8000000000000000000000002", "hex") };
    const raw = session(1, { ...v6, sourceIpv6: Buffer.from("20010db8000000000000000000000001", "hex") });
    same((await add([raw])).requestStatus, "_SESSION_ACCEPTED");
    const text = session(2, { ...v6, sourceIpv6: Buffer.from("2001:0db8:0000:0000:0000:0000:0000:0001") });
    same((await add([text])).requestStatus, "_SESSION_ALREADY_EXISTS");
    same((await add([{ ...text, inLif: (100 << 16) | 1, outLif: 0 }])).requestStatus, "_SESSION_ACCEPTED");
    same((await add([session(3, { sessionId: 0 })])).requestStatus, "_SESSION_ACCEPTED");
    same(await listed(), [1, 2, 2147483647]);
    const hop = { actionType: "_MIRROR", actionNextHop: Buffer.of(12, 2, 3, 5).readUInt32LE() };
    same((await add([session(4, { action: hop })])).requestStatus, "_SESSION_REJECTED");
  },

  async "lists by pages from 4294967295, deleting each before the next"() {
    const wanted = range(1, 100).map((id) => (id * 37) % 101);
    await add(wanted.slice(0, 50).map((id) => session(id)));
    await add(wanted.slice(50).map((id) => session(id)));
    const seen: number[] = [];
    for (let key = "4294967295"; ; ) {
      const page = await list({ pageSize: 16, startSession: key });
      if (page.sessionInfo.length === 0) {
        same(page.nextKey, key, "echoes start_session");
        break;
      }
      seen.push(...ids(page.sessionInfo));
      await Promise.all(ids(page.sessionInfo).map(del));
      key = page.nextKey;
    }
    same(seen, wanted);
  },

  async "an unknown session, a deleted one, ids of 64 bits"() {
    same((await get(999)).requestStatus, "_REJECTED_SESSION_NONEXISTENT");
    const id = "18446744073709551615";
    await add([session(1, { sessionId: id })]);
    const alive = await get(id);
    same([alive.sessionId, alive.sessionState, alive.endTime], [id, "_ESTABLISHED", null]);
    const last = await del(id);
    same([last.sessionId, last.sessionCloseCode, last.requestStatus], [id, "_NOT_CLOSED", "_ACCEPTED"]);
    ok(last.startTime !== null && last.endTime !== null);
    same((await del(id)).requestStatus, "_REJECTED_SESSION_NONEXISTENT");
    same(await poll(), [last]);
  },

  async "closed sessions polled with page_size, followed, and again after a cancelled stream"() {
    const metadata = new Metadata();
    metadata.set("sluice-follow", "1");
    await add(range(1, 30).map((id) => session(id)));
    for (const id of range(1, 20)) await del(id);
    same(ids(await poll({ pageSize: 7 })), range(1, 7));
    const stream = client.getClosedSessions({}, metadata);
    const got: number[] = [];
    stream.on("data", (one: Session) => got.push(Number(one.sessionId)));
    stream.on("error", () => {});
    for (const id of range(21, 30)) await del(id);
    for (let tries = 0; got.length < 23 && tries < 200; tries++) await sleep(10);
    same(got, [...range(8, 20), ...range(21, 30)]);
    same(await poll(), [], "not offered to two");
    stream.cancel();
    const again: number[] = [];
    for (let tries = 0; again.length < 23 && tries < 200; tries++) {
      again.push(...ids(await poll()));
      await sleep(10);
    }
    same(again, got);
  },
};

for (const [name, scenario] of Object.entries(scenarios)) {
  let why = "";
  try {
    await clear();
    await scenario();
  } catch (error) {
    why = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  console.log(JSON.stringify({ name, ok: why === "", why }));
}
client.close();
