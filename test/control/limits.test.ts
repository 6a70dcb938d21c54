// Bounds of the control channel, and input that is none: over TCP, mostly below gRPC.

import { spawn } from "node:child_process";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { credentials, Metadata, status } from "@grpc/grpc-js";
import t, { type Test } from "tap";
import { SessionId, SessionRequest, SessionRequestArgs, SessionTableClient } from "../../src/control/gen/openoffload.js";
import type { ServerOptions } from "../../src/control/server.js";
import type { Cursor } from "../../src/table/creation-order.js";
import type { SessionInfo } from "../../src/table/session.js";
import { add, codeOf, get, ids, list, until } from "./calls.js";
import { range, request, startDevice as startTestDevice, type TestDevice } from "./device.js";
import { newSession, TestTable } from "./test-table.js";

const TABLE = "/openoffload.v2.SessionTable/";

interface Tested extends TestDevice {
  readonly port: number;
}

async function start(t: Test, limits: Partial<ServerOptions>): Promise<Tested> {
  const device = await startTestDevice({ limits });
  t.teardown(() => device.stop());
  return Object.assign(device, { port: device.server.port });
}

function session(t: Test, device: TestDevice): ClientHttp2Session {
  const made = connect(`http://${device.target}`);
  made.on("error", () => {});
  t.teardown(() => made.destroy());
  return made;
}

/** gRPC's length-prefixed message: a byte for compression, four for the length. */
function framed(message: Uint8Array, { length = message.length, compressed = 0 } = {}): Buffer {
  const prefix = Buffer.from([compressed, 0, 0, 0, 0]);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

function open(session: ClientHttp2Session, method: string, headers: OutgoingHttpHeaders = {}): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": method.startsWith("/") ? method : TABLE + method,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  stream.on("error", () => {});
  return stream;
}

/** The status that a call is answered with; "none" when it ends without. */
function statusOf(stream: ClientHttp2Stream): Promise<string> {
  stream.resume();
  return new Promise((resolve) => {
    const name = (code: unknown) => status[Number(code)] ?? String(code);
    stream.on("response", (headers) => {
      if (headers["grpc-status"] !== undefined) resolve(name(headers["grpc-status"]));
      else if (headers[":status"] !== 200) resolve(`HTTP ${headers[":status"]}`);
    });
    stream.on("trailers", (trailers) => resolve(name(trailers["grpc-status"])));
    stream.on("close", () => resolve("none"));
  });
}

async function alive(t: Test, device: TestDevice, count = 0): Promise<void> {
  t.same(ids(await list(device.client)).length, count, "it lives, and the table is as before");
}

t.test("connections past the limit are closed at once; one that goes makes room", async (t) => {
  const device = await start(t, { maxConnections: 3 });
  const dial = async (): Promise<Socket> => {
    const socket = connectTcp(device.port, "127.0.0.1").on("error", () => {});
    t.teardown(() => socket.destroy());
    await new Promise((resolve) => socket.once("connect", resolve));
    return socket;
  };
  const held = [await dial(), await dial(), await dial()];
  const late = await dial();
  await new Promise((resolve) => late.once("close", resolve));
  t.equal((await codeOf(get(device.client, 1n))).code, status.UNAVAILABLE, "a client is told at once");
  t.match(device.log.join(), /gRPC connection from 127\.0\.0\.1 refused: 3 are open \(grpc\.maxConnections\)/);
  held[0].destroy();
  const again = new SessionTableClient(device.target, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  t.teardown(() => again.close());
  await sleep(100);
  t.equal((await get(again, 1n)).requestStatus, 2);
  t.equal(held[1].destroyed, false, "the others go on");
});

t.test("a client that opens more streams than it may waits for one to end", async (t) => {
  const device = await start(t, { maxStreams: 4 });
  const connection = session(t, device);
  await new Promise((resolve) => connection.once("remoteSettings", resolve));
  t.equal(connection.remoteSettings.maxConcurrentStreams, 4);
  // Each is answered with headers as soon as the server has it.
  let answered = 0;
  const all = framed(SessionRequestArgs.encode({ pageSize: 0, page: 0, startSession: 0n }).finish());
  const streams = Array.from({ length: 5 }, () => {
    const stream = open(connection, "GetClosedSessions", { "sluice-follow": "1" });
    stream.on("response", () => answered++).end(all);
    return stream;
  });
  await sleep(200);
  t.equal(answered, 4, "the fifth waits");
  streams[0].close(constants.NGHTTP2_CANCEL);
  await until(() => answered === 5);
});

t.test("a message that is too long is RESOURCE_EXHAUSTED and changes nothing", async (t) => {
  const device = await start(t, { maxMessageBytes: 4096 });
  const connection = session(t, device);
  const first = framed(SessionRequest.encode(request(1)).finish());
  // Said to be too long; really too long; too long when unpacked.
  const said = open(connection, "AddSession");
  said.write(first);
  said.write(framed(Buffer.alloc(10), { length: 4097 }));
  t.equal(await statusOf(said), "RESOURCE_EXHAUSTED");
  const really = open(connection, "AddSession");
  really.write(first);
  really.end(framed(Buffer.alloc(100_000)));
  t.equal(await statusOf(really), "RESOURCE_EXHAUSTED");
  const bomb = open(connection, "AddSession", { "grpc-encoding": "gzip" });
  bomb.write(first);
  bomb.end(framed(gzipSync(Buffer.alloc(1 << 24)), { compressed: 1 }));
  t.equal(await statusOf(bomb), "RESOURCE_EXHAUSTED");
  const unary = open(connection, "DeleteSession");
  unary.end(framed(Buffer.alloc(4097)));
  t.equal(await statusOf(unary), "RESOURCE_EXHAUSTED");
  const longest = open(connection, "GetSession");
  // An unknown field (15, length-delimited) makes a message of any length.
  longest.end(framed(Buffer.concat([Buffer.from([0x7a, 0xfd, 0x1f]), Buffer.alloc(4093)])));
  t.equal(await statusOf(longest), "OK", "4,096 bytes are not too long");
  await alive(t, device);
});

t.test("what is no message is answered INTERNAL and changes nothing", async (t) => {
  const device = await start(t, {});
  const connection = session(t, device);
  const first = framed(SessionRequest.encode(request(1)).finish());
  const broken: [string, Buffer][] = [
    ["a tag without its value", Buffer.from([0x08])],
    ["a varint without end", Buffer.alloc(20, 0xff)],
    ["a length past the end", Buffer.from([0x32, 0x7f, 0x01])],
    ["a group that is not closed", Buffer.from([0x7b, 0x08])],
    ["wire type 7", Buffer.from([0x0f])],
    ["a nested message that ends too soon", Buffer.from([0x62, 0x02, 0x08, 0x80])],
  ];
  for (const [name, bytes] of broken) {
    const stream = open(connection, "AddSession");
    stream.write(first);
    stream.write(framed(bytes));
    stream.end(first);
    t.equal(await statusOf(stream), "INTERNAL", name);
  }
  const unpackable = open(connection, "AddSession", { "grpc-encoding": "gzip" });
  unpackable.write(first);
  unpackable.end(framed(Buffer.from("nonsense"), { compressed: 1 }));
  t.equal(await statusOf(unpackable), "INTERNAL");
  const unknown = open(connection, "AddSession", { "grpc-encoding": "zstd" });
  unknown.write(first);
  unknown.end(framed(Buffer.from("nonsense"), { compressed: 1 }));
  t.equal(await statusOf(unknown), "UNIMPLEMENTED");
  await alive(t, device);
});

t.test("requests that are none of ours", async (t) => {
  const device = await start(t, {});
  const connection = session(t, device);
  t.equal(await statusOf(open(connection, "NoSuchCall").end()), "UNIMPLEMENTED");
  t.equal(await statusOf(open(connection, "/%00%0a/\u00e4").end()), "UNIMPLEMENTED");
  t.equal(await statusOf(open(connection, "GetSession", { "content-type": "text/plain" }).end()), "HTTP 415");
  t.equal(await statusOf(open(connection, "GetSession", { "grpc-timeout": "soon" }).end()), "INTERNAL");
  t.equal(await statusOf(open(connection, "GetSession").end()), "UNIMPLEMENTED", "no message");
  const two = open(connection, "DeleteSession");
  const id = framed(SessionId.encode({ sessionId: 1n }).finish());
  two.end(Buffer.concat([id, id]));
  t.equal(await statusOf(two), "UNIMPLEMENTED", "two messages");
  await alive(t, device);
});

t.test("bytes that are no HTTP/2", async (t) => {
  const device = await start(t, { handshakeMs: 400 });
  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const noise = Buffer.from(Array.from({ length: 2000 }, (_, i) => (i * 7919 + 13) & 0xff));
  for (const bytes of [
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    noise,
    Buffer.concat([Buffer.from(preface), noise]),
    // A HEADERS frame before any SETTINGS.
    Buffer.concat([Buffer.from(preface), Buffer.from([0, 0, 1, 1, 5, 0, 0, 0, 1, 0x82])]),
    // Begins and says no more; and one byte.
    preface,
    "P",
    "",
  ]) {
    const socket = connectTcp(device.port, "127.0.0.1").on("error", () => {});
    socket.resume();
    socket.write(bytes);
    const begin = performance.now();
    await new Promise((resolve) => socket.once("close", resolve));
    t.ok(performance.now() - begin < 2000, `${JSON.stringify(bytes.slice(0, 30))} is cut off`);
  }
  await alive(t, device);
});

t.test("a client that does not answer pings is gone, and its streams are cancelled", async (t) => {
  const device = await start(t, { keepaliveInterval: 1, keepaliveTimeout: 1 });
  const socket = connectTcp(device.port, "127.0.0.1").on("error", () => {});
  // A preface with empty SETTINGS, and then nothing.
  socket.write(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]));
  socket.resume();
  const begin = performance.now();
  await new Promise((resolve) => socket.once("close", resolve));
  const took = performance.now() - begin;
  t.ok(took > 1500 && took < 4000, `${took} ms`);
  const answering = session(t, device);
  await sleep(2500);
  t.notOk(answering.destroyed, "one that does is not");
});

t.test("a call whose side is closed after its deadline is not carried out, however late that is noticed", async (t) => {
  const device = await start(t, {});
  await add(device.client, [request(1)]);
  const message = Buffer.from(SessionId.encode({ sessionId: 1n }).finish()).toString("hex");
  const script = fileURLToPath(new URL("./late-end.js", import.meta.url));
  const client = spawn(process.execPath, [script, device.target, `${TABLE}DeleteSession`, message]);
  let said = "";
  client.stdout.on("data", (text) => {
    said += text;
    // The deadline passes and the end arrives while this thread is busy: it reads the end before it looks at its timers.
    if (String(text).includes("sent")) setTimeout(busy, 40, 200);
  });
  await new Promise((resolve) => client.once("close", resolve));
  t.equal(said, `sent\nstatus ${status.DEADLINE_EXCEEDED}\n`);
  await alive(t, device, 1);
});

function busy(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

t.test("a list that nobody waits for any more is not made to its end", async (t) => {
  for (const how of ["cancelled", "past its deadline"] as const) {
    const sessions = new SlowTable(20_000);
    for (const id of range(1, 20_001)) sessions.add(newSession(id), Date.now());
    const device = await startTestDevice({ sessions });
    t.teardown(() => device.stop());
    const deadline = Date.now() + (how === "cancelled" ? 60_000 : 60);
    const code = new Promise<status | undefined>((resolve) => {
      const args = { pageSize: 0, page: 0, startSession: 0n };
      const call = device.client.getAllSessions(args, new Metadata(), { deadline }, (error) => resolve(error?.code));
      sessions.onSlice = (slice) => {
        if (how === "cancelled" && slice === 3) call.cancel();
      };
    });
    t.equal(await code, how === "cancelled" ? status.CANCELLED : status.DEADLINE_EXCEEDED);
    await sleep(200);
    const slices = sessions.slices;
    t.ok(slices >= 1 && slices < 35, `${how}: ${slices} slices of 40`);
    await sleep(50);
    t.equal(sessions.slices, slices, "it has stopped");
    t.equal((await list(device.client, { pageSize: 10 })).sessionInfo.length, 10, "the next one is served");
  }
});

/** Takes 4 ms for each part of a list. */
class SlowTable extends TestTable {
  slices = 0;
  onSlice: (slice: number) => void = () => {};

  override read(cursor: Cursor, max: number): SessionInfo[] {
    this.onSlice(++this.slices);
    busy(4);
    return super.read(cursor, max);
  }
}
