import { createServer } from "node:net";
import { credentials, status } from "@grpc/grpc-js";
import { pino } from "pino";
import t from "tap";
import { type AddSessionResponse, SessionTableClient } from "../../src/control/gen/openoffload.js";
import { DeviceClient, type StatsResponse } from "../../src/control/gen/sluice.js";
import { startServer } from "../../src/control/server.js";
import { statsService } from "../../src/control/stats-service.js";
import { SluiceError } from "../../src/errors.js";
import { add, codeOf, del, get } from "./calls.js";
import { request, startDevice } from "./device.js";
import { TestTable } from "./test-table.js";

async function failure(listen: string): Promise<SluiceError> {
  try {
    await (await startServer({ listen }, [])).stop(0);
  } catch (error) {
    if (error instanceof SluiceError) {
      return error;
    }
    throw error;
  }
  throw new Error(`it listens on ${listen}`);
}

t.test("an address in use, of another machine, or that is none: an error that says what to do", async (t) => {
  const other = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  t.teardown(() => other.close());
  const { port } = other.address() as { port: number };
  const inUse = await failure(`127.0.0.1:${port}`);
  t.equal(inUse.code, "grpc");
  t.match(inUse.message, new RegExp(`^gRPC cannot listen on 127.0.0.1:${port}: another process listens there. End it, or`));
  t.match((await failure("192.0.2.1:3443")).message, /192.0.2.1:3443: this machine has no such address/);
  t.match((await failure("nonsense:x:y")).message, /^gRPC cannot listen on nonsense:x:y: .*It takes ADDRESS:PORT/);
});

t.test("running calls end, new ones are refused, and then it is gone", async (t) => {
  const device = await startDevice();
  await add(device.client, [request(1)]);
  let answer: Promise<AddSessionResponse> | undefined;
  const call = await new Promise<ReturnType<SessionTableClient["addSession"]>>((open) => {
    answer = new Promise((resolve, reject) => {
      const stream = device.client.addSession((error, value) => (error ? reject(error) : resolve(value)));
      stream.write(request(2), () => open(stream));
    });
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  const stopped = device.server.stop(5000);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const late = new SessionTableClient(device.target, credentials.createInsecure());
  t.equal((await codeOf(get(late, 1n))).code, status.UNAVAILABLE);
  late.close();
  device.ready = false;
  call.end();
  t.match(await answer, { requestStatus: 3, errorStatus: 1n }, "the device is stopping");
  const before = performance.now();
  await stopped;
  t.ok(performance.now() - before < 3000, "without waiting for the grace time");
  device.client.close();
});

t.test("what does not end in the grace time is cut off", async (t) => {
  const device = await startDevice();
  const cut = codeOf(
    new Promise((resolve, reject) => {
      device.client.addSession((error, value) => (error ? reject(error) : resolve(value))).write(request(1));
    }),
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  const before = performance.now();
  await device.server.stop(200);
  const took = performance.now() - before;
  t.ok(took >= 150 && took < 3000, `${took} ms`);
  t.not((await cut).code, status.OK);
  t.equal(device.sessions.stats.added, 0);
  device.client.close();
});

t.test("a DELETE whose table fails is answered INTERNAL, and the server goes on", async (t) => {
  const sessions = new (class extends TestTable {
    override async delete(): Promise<never> {
      throw new Error("secret cause");
    }
  })(10);
  const device = await startDevice({ sessions });
  t.teardown(() => device.stop());
  await add(device.client, [request(1)]);
  t.match(await codeOf(del(device.client, 1n)), { code: status.INTERNAL, details: /its log has the cause/ });
  t.match(device.log.join(), /secret cause/);
  t.equal((await get(device.client, 1n)).requestStatus, 0);
});

t.test("Device.Stats answers what the device counts", async (t) => {
  const stats: StatsResponse = {
    ports: [
      {
        name: "host1",
        role: "host",
        rxPackets: 1n,
        rxBytes: 2n ** 53n,
        createdPackets: 3n,
        txPackets: 4n,
        txBytes: 5n,
        kernelDrops: 6n,
        freezes: 7n,
      },
    ],
    fates: [{ name: "no-session", kind: "miss", packets: 8n, sentence: "no session has its 5-tuple" }],
    workers: [{ worker: 0, serving: true, restarts: 1, rxPackets: 9n, forwardedPackets: 10n }],
    sessions: {
      capacity: 11n,
      active: 12n,
      added: 13n,
      aged: 14n,
      deleted: 15n,
      closedByTcp: 16n,
      closedWaiting: 17n,
      closedDropped: 18n,
    },
    tunnels: { capacity: 19n, active: 20n, closing: 21n, shapes: 22n },
  };
  const server = await startServer({ listen: "127.0.0.1:0" }, [statsService(() => stats, pino({ level: "silent" }))]);
  t.teardown(() => server.stop(100));
  const client = new DeviceClient(`127.0.0.1:${server.port}`, credentials.createInsecure());
  t.teardown(() => client.close());
  const answer = await new Promise((resolve, reject) => {
    client.stats({}, (error, value) => (error ? reject(error) : resolve(value)));
  });
  t.same(answer, stats);
});
