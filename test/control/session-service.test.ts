import { connect as connectHttp2, constants } from "node:http2";
import { connect } from "node:net";
import { credentials, makeGenericClientConstructor, status } from "@grpc/grpc-js";
import t from "tap";
import { SessionTableService } from "../../src/control/gen/openoffload.js";
import { add, codeOf, del, get, ids, list, poll } from "./calls.js";
import { range, request, startDevice } from "./device.js";

t.test("GetSession answers with live counters, DeleteSession with the final ones", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  await add(device.client, [request(7)]);
  device.sessions.count(0, 3, 2, 2 ** 40, 128);
  const live = await get(device.client, 7n);
  t.match(live, { sessionId: 7n, inPackets: 3n, outPackets: 2n, inBytes: 1n << 40n, outBytes: 128n, requestStatus: 0 });
  t.equal(live.endTime, undefined);
  const final = await del(device.client, 7n);
  t.match(final, { sessionId: 7n, inPackets: 3n, sessionCloseCode: 0, requestStatus: 0 });
  t.ok(final.endTime);
  t.equal((await get(device.client, 7n)).requestStatus, 2);
  t.same(await poll(device.client), [7], "a deleted session is reported once as closed");
  t.same(await poll(device.client), []);
});

t.test("an unknown session: an OK answer that says so, or NOT_FOUND, as configured (api.md 7)", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  const unknown = { sessionId: 18446744073709551615n, requestStatus: 2, startTime: undefined, endTime: undefined };
  t.match(await get(device.client, unknown.sessionId), unknown);
  t.match(await del(device.client, unknown.sessionId), unknown);
  t.match(await del(device.client, 0n), { sessionId: 0n, requestStatus: 2 });

  const strict = await startDevice({ missingSession: "status" });
  t.teardown(() => strict.stop());
  t.match(await codeOf(get(strict.client, 5n)), { code: status.NOT_FOUND, details: "there is no session 5" });
  t.match(await codeOf(del(strict.client, 5n)), { code: status.NOT_FOUND });
});

t.test("of two clients that delete the same session one gets it", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  await add(device.client, [request(1)]);
  const answers = await Promise.all([del(device.client, 1n), del(device.client, 1n)]);
  t.same(answers.map((answer) => answer.requestStatus).sort(), [0, 2]);
  t.same(await poll(device.client), [1]);
});

t.test("wrong wire data and too large a message are refused, and nothing changes", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  // The same service, with whatever bytes a test wants.
  const bytes = (value: Buffer): Buffer => value;
  const raw = { requestSerialize: bytes, responseDeserialize: bytes };
  const Raw = makeGenericClientConstructor(
    { addSession: { ...SessionTableService.addSession, ...raw }, getSession: { ...SessionTableService.getSession, ...raw } },
    "openoffload.v2.SessionTable",
  );
  const client = new Raw(device.target, credentials.createInsecure());
  t.teardown(() => client.close());
  const unary = (message: Buffer) =>
    codeOf(
      new Promise((resolve, reject) =>
        client.getSession?.(message, (e: Error | null, v: unknown) => (e ? reject(e) : resolve(v))),
      ),
    );
  const stream = (...messages: Buffer[]) =>
    codeOf(
      new Promise((resolve, reject) => {
        const call = client.addSession?.((e: Error | null, v: unknown) => (e ? reject(e) : resolve(v)));
        for (const message of messages) {
          call.write(message);
        }
        call.end();
      }),
    );
  const good = Buffer.from(SessionTableService.addSession.requestSerialize(request(1)));
  const truncated = Buffer.from([0x08]);
  const endless = Buffer.from([0x32, 0xff, 0xff, 0xff, 0xff, 0x0f]);
  for (const bad of [truncated, endless, Buffer.from([0xff, 0xff]), Buffer.alloc(20, 0xff)]) {
    t.equal((await unary(bad)).code, status.INTERNAL);
    t.equal((await stream(good, bad)).code, status.INTERNAL, "a batch with one bad message");
  }
  t.equal((await unary(Buffer.alloc(5 * 1024 * 1024))).code, status.RESOURCE_EXHAUSTED);
  t.equal((await stream(good, Buffer.alloc(5 * 1024 * 1024))).code, status.RESOURCE_EXHAUSTED);
  t.equal(device.sessions.stats.added, 0);
  t.match(await list(device.client), { sessionInfo: [] });
});

t.test("what is not gRPC at all does not harm the server", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  const [host, port] = device.target.split(":") as [string, string];
  for (const bytes of [Buffer.from("GET / HTTP/1.1\r\n\r\n"), Buffer.alloc(100_000, 0xff), Buffer.alloc(0)]) {
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), host, () => socket.end(bytes));
      socket.on("close", () => resolve());
      socket.on("error", () => resolve());
      socket.resume();
    });
  }
  const session = connectHttp2(`http://${device.target}`);
  for (const headers of [
    { ":method": "GET", ":path": "/" },
    { ":method": "POST", ":path": "/openoffload.v2.SessionTable/Nothing", "content-type": "application/grpc" },
    {
      ":method": "POST",
      ":path": "/openoffload.v2.SessionTable/AddSession",
      "content-type": "application/grpc",
      "grpc-timeout": "x",
    },
    {
      ":method": "POST",
      ":path": "/openoffload.v2.SessionTable/AddSession",
      "content-type": "application/grpc",
      "grpc-encoding": "x",
    },
  ]) {
    await new Promise<void>((resolve) => {
      const stream = session.request(headers);
      stream.on("error", () => {});
      stream.on("close", () => resolve());
      stream.resume();
      // A compressed message of 5 bytes in an encoding that nobody knows.
      stream.end(Buffer.from([1, 0, 0, 0, 5, 1, 2, 3, 4, 5]));
    });
  }
  const half = session.request({
    ":method": "POST",
    ":path": "/openoffload.v2.SessionTable/AddSession",
    "content-type": "application/grpc",
  });
  half.on("error", () => {});
  half.write(Buffer.from([0, 0, 0]));
  await new Promise((resolve) => setTimeout(resolve, 20));
  half.close(constants.NGHTTP2_CANCEL);
  session.close();
  await add(
    device.client,
    range(1, 4).map((id) => request(id)),
  );
  t.same(ids(await list(device.client)), [1, 2, 3]);
});
