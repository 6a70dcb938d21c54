// grpc.health.v1 over TCP: a client made from the package's own proto file.

import { type ClientReadableStream, credentials, Metadata, makeGenericClientConstructor, status } from "@grpc/grpc-js";
import { service } from "grpc-health-check";
import t, { type Test } from "tap";
import { healthService } from "../../src/control/health.js";
import { type RunningServer, startServer } from "../../src/control/server.js";
import { codeOf, until } from "./calls.js";

const Health = makeGenericClientConstructor(service, "Health");
const NAMES = ["openoffload.v2.SessionTable", "sluice.v1.Device"];

interface Tested {
  readonly server: RunningServer;
  ready: boolean;
  check(name: string): Promise<string>;
  watch(name: string): { readonly seen: string[]; readonly call: ClientReadableStream<unknown>; ended?: status };
}

async function start(t: Test): Promise<Tested> {
  const state = { ready: true };
  const server = await startServer({ listen: "127.0.0.1:0" }, [healthService(NAMES, () => state.ready)]);
  const client = new Health(`127.0.0.1:${server.port}`, credentials.createInsecure());
  t.teardown(async () => {
    client.close();
    await server.stop(0);
  });
  const method = (name: string) => client[name].bind(client);
  return Object.assign(state, {
    server,
    check: (name: string) =>
      new Promise<string>((resolve, reject) => {
        method("check")({ service: name }, (error: Error | null, value: { status: string }) =>
          error ? reject(error) : resolve(value.status),
        );
      }),
    watch(name: string) {
      const call = method("watch")({ service: name }, new Metadata()) as ClientReadableStream<unknown>;
      const watched: ReturnType<Tested["watch"]> = { seen: [], call };
      call.on("data", (value) => watched.seen.push((value as { status: string }).status));
      call.on("error", () => {});
      call.on("status", ({ code }) => {
        watched.ended = code;
      });
      return watched;
    },
  });
}

t.test("the server and each service are SERVING while the device can serve", async (t) => {
  const tested = await start(t);
  for (const name of ["", ...NAMES]) t.equal(await tested.check(name), "SERVING", name);
  tested.ready = false;
  for (const name of ["", ...NAMES]) t.equal(await tested.check(name), "NOT_SERVING", name);
  tested.ready = true;
  t.equal(await tested.check(""), "SERVING");
  t.equal((await codeOf(tested.check("openoffload.v2"))).code, status.NOT_FOUND);
});

t.test("a watch sees each change, and the end", async (t) => {
  const tested = await start(t);
  const watches = ["", ...NAMES].map((name) => tested.watch(name));
  const unknown = tested.watch("no.such.Service");
  await until(() => [...watches, unknown].every(({ seen }) => seen.length === 1));
  tested.ready = false;
  await until(() => watches.every(({ seen }) => seen.length === 2), 1000);
  tested.ready = true;
  await until(() => watches.every(({ seen }) => seen.length === 3), 1000);
  const begin = performance.now();
  await tested.server.stop(5000);
  t.ok(performance.now() - begin < 1000, "watches do not hold it up");
  await until(() => [...watches, unknown].every(({ ended }) => ended !== undefined));
  for (const { seen, ended } of watches) {
    t.same(seen, ["SERVING", "NOT_SERVING", "SERVING", "NOT_SERVING"]);
    t.equal(ended, status.OK);
  }
  t.same(unknown.seen, ["SERVICE_UNKNOWN"]);
  t.equal(unknown.ended, status.OK);
});

t.test("a watch that is cancelled is forgotten", async (t) => {
  const tested = await start(t);
  const [gone, stays] = [tested.watch(""), tested.watch("")];
  await until(() => gone.seen.length + stays.seen.length === 2);
  gone.call.cancel();
  await until(() => gone.ended === status.CANCELLED);
  tested.ready = false;
  await until(() => stays.seen.length === 2, 1000);
  t.same(gone.seen, ["SERVING"]);
});
