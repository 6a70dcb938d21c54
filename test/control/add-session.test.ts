import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Metadata, status } from "@grpc/grpc-js";
import t from "tap";
import { AddSessionStatus } from "../../src/control/gen/openoffload.js";
import { add, codeOf, get, ids, list, until } from "./calls.js";
import { range, request, startDevice } from "./device.js";
import { TestTable } from "./test-table.js";

const { _SESSION_ACCEPTED, _SESSION_REJECTED, _SESSION_TABLE_FULL, _SESSION_TABLE_UNAVAILABLE, _SESSION_ALREADY_EXISTS } =
  AddSessionStatus;

t.test("a stream of 64 goes in whole, and each session as it was asked for", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  const before = Date.now();
  const answer = await add(
    device.client,
    range(1, 65).map((id) => request(id)),
  );
  t.match(answer, { requestStatus: _SESSION_ACCEPTED, errorStatus: 0n, responseError: [] });
  const start = Number(answer.startTime?.seconds) * 1000 + (answer.startTime?.nanos as number) / 1e6;
  t.ok(start >= before && start <= Date.now());
  t.equal(device.sessions.stats.added, 64);
  t.match(device.sessions.wanted.get(64n), { inLif: 1, outLif: 2, sourcePort: 1000, timeout: 10 });
  t.same([...(device.sessions.wanted.get(64n)?.source ?? [])], [10, 0, 0, 64]);
});

t.test("an empty stream is accepted", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  t.match(await add(device.client, []), { requestStatus: _SESSION_ACCEPTED, errorStatus: 0n });
});

t.test("valid sessions of a stream go in beside invalid ones; mask, errors, sentences and log name these", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  const answer = await add(device.client, [
    request(1),
    request(2, { protocolId: 0 }),
    request(3),
    request(1),
    request(4, { sourceIp: request(3).sourceIp }),
    request(5, { inLif: 7 }),
  ]);
  t.equal(answer.requestStatus, _SESSION_REJECTED);
  t.equal(answer.errorStatus, 0b111010n);
  t.same(answer.responseError, [
    { sessionId: 2n, errorStatus: _SESSION_REJECTED },
    { sessionId: 1n, errorStatus: _SESSION_ALREADY_EXISTS },
    { sessionId: 4n, errorStatus: _SESSION_ALREADY_EXISTS },
    { sessionId: 5n, errorStatus: _SESSION_REJECTED },
  ]);
  t.same(ids(await list(device.client)), [1, 3]);
  t.match(answer.trailer.get("sluice-error")[0], /^1: protocol_id 0 .* \| 5: in_lif 7 /);
  t.match(device.log.join(), /4 sessions were not added; request 1: protocol_id 0 is neither/);
});

t.test("only existing ones: _SESSION_ALREADY_EXISTS, by id, by either flow key", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  await add(device.client, [request(1)]);
  const reversed = request(2, {
    inLif: 2,
    sourceIp: request(1).destinationIp,
    sourcePort: 80,
    destinationIp: request(1).sourceIp,
    destinationPort: 1000,
  });
  const answer = await add(device.client, [request(1, { sourcePort: 5 }), reversed, request(3)]);
  t.equal(answer.requestStatus, _SESSION_ALREADY_EXISTS);
  t.equal(answer.errorStatus, 0b011n);
  t.same(ids(await list(device.client)), [1, 3]);
});

t.test("a batch that does not fit: _SESSION_TABLE_FULL, none inserted", async (t) => {
  const device = await startDevice({ capacity: 10 });
  t.teardown(() => device.stop());
  await add(
    device.client,
    range(1, 6).map((id) => request(id)),
  );
  const answer = await add(device.client, [...range(4, 12).map((id) => request(id)), request(12, { inLif: 0 })]);
  t.equal(answer.requestStatus, _SESSION_TABLE_FULL);
  t.equal(answer.errorStatus, 0b1_1111_1111n);
  t.same(
    answer.responseError.map((error) => error.errorStatus),
    [4, 4, 2, 2, 2, 2, 2, 2, 1],
  );
  t.equal(device.sessions.free, 5);
  const rest = await add(
    device.client,
    range(4, 11).map((id) => request(id)),
  );
  t.equal(rest.requestStatus, _SESSION_ALREADY_EXISTS, "what exists takes no room: the other five fit");
  t.equal(device.sessions.free, 0);
  const again = await add(
    device.client,
    range(1, 11).map((id) => request(id)),
  );
  t.equal(again.requestStatus, _SESSION_ALREADY_EXISTS, "also in a full table");
});

t.test("a longer stream goes in as it comes, and as far as there is room", async (t) => {
  const device = await startDevice({ capacity: 1000 });
  t.teardown(() => device.stop());
  const fits = await add(
    device.client,
    range(1, 901).map((id) => request(id, id === 70 ? { inLif: 0 } : {})),
  );
  t.match(fits, { requestStatus: _SESSION_REJECTED, errorStatus: 0n, responseError: [{ sessionId: 70n, errorStatus: 1 }] });
  t.equal(device.sessions.free, 101);
  const over = await add(
    device.client,
    range(901, 1011).map((id) => request(id)),
  );
  t.equal(over.requestStatus, _SESSION_TABLE_FULL);
  t.equal(over.responseError.length, 9);
  t.equal(device.sessions.free, 0);
});

t.test("65 sessions with room for 64: 64 go in", async (t) => {
  const device = await startDevice({ capacity: 64 });
  t.teardown(() => device.stop());
  const answer = await add(
    device.client,
    range(1, 66).map((id) => request(id)),
  );
  t.match(answer, { requestStatus: _SESSION_TABLE_FULL, errorStatus: 0n, responseError: [{ sessionId: 65n, errorStatus: 2 }] });
  t.equal(device.sessions.free, 0);
});

t.test("id 0: the device assigns ids from 2147483647 downwards", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  const requests = [1, 2, 3].map((id) => ({ ...request(id), sessionId: 0n }));
  t.match(await add(device.client, requests), { requestStatus: _SESSION_ACCEPTED });
  t.same(ids(await list(device.client)), [2147483647, 2147483646, 2147483645]);
  t.equal((await get(device.client, 2147483646n)).sessionId, 2147483646n);
});

t.test("_SESSION_TABLE_UNAVAILABLE while the device cannot serve, also in the middle of a long stream", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  device.ready = false;
  const answer = await add(device.client, [request(1), request(2)]);
  t.match(answer, { requestStatus: _SESSION_TABLE_UNAVAILABLE, errorStatus: 3n });
  t.equal((await add(device.client, [])).requestStatus, _SESSION_TABLE_UNAVAILABLE);
  t.equal(device.sessions.stats.added, 0);

  device.ready = true;
  let half: (() => void) | undefined;
  const done = new Promise((resolve, reject) => {
    const call = device.client.addSession((error, value) => (error ? reject(error) : resolve(value)));
    for (const id of range(1, 101)) {
      call.write(request(id));
    }
    half = () => {
      call.write(request(101));
      call.end();
    };
  });
  await until(() => device.sessions.stats.added === 100);
  device.ready = false;
  half?.();
  t.match(await done, { requestStatus: _SESSION_TABLE_UNAVAILABLE, responseError: [{ sessionId: 101n, errorStatus: 3 }] });
});

t.test("a batch whose client cancels or runs out of time leaves nothing", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  for (const count of [1, 10, 64]) {
    await codeOf(
      new Promise((_, reject) => {
        const call = device.client.addSession((error) => reject(error));
        for (const id of range(1, count + 1)) {
          call.write(request(id), () => id === count && setTimeout(() => call.cancel(), 20));
        }
      }),
    );
    const late = await codeOf(
      new Promise((_, reject) => {
        const call = device.client.addSession(new Metadata(), { deadline: Date.now() + 50 }, (error) => reject(error));
        for (const id of range(1, count + 1)) {
          call.write(request(id));
        }
      }),
    );
    t.equal(late.code, status.DEADLINE_EXCEEDED);
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(device.sessions.stats.added, 0);
  t.match(await add(device.client, [request(1)]), { requestStatus: _SESSION_ACCEPTED });
});

t.test("a batch whose client is killed leaves nothing; a longer stream what has come", async (t) => {
  const device = await startDevice();
  t.teardown(() => device.stop());
  for (const count of [1, 63, 64]) {
    await killed(spawnClient(device.target, count));
  }
  t.equal(device.sessions.stats.added, 0);
  await killed(spawnClient(device.target, 200));
  t.equal(device.sessions.stats.added, 200);
  t.match(await add(device.client, [request(1000)]), { requestStatus: _SESSION_ACCEPTED });
});

t.test("a fault in the table is answered INTERNAL without its cause, which is logged", async (t) => {
  const sessions = new (class extends TestTable {
    override add(): never {
      throw new Error("secret cause");
    }
    override addAll(): never {
      throw new Error("secret cause");
    }
  })(100);
  const device = await startDevice({ sessions });
  t.teardown(() => device.stop());
  for (const count of [1, 100]) {
    const answer = await codeOf(
      add(
        device.client,
        range(1, count + 1).map((id) => request(id)),
      ),
    );
    t.match(answer, { code: status.INTERNAL, details: "the device failed to answer; its log has the cause" });
  }
  t.match(device.log[0], /secret cause.*AddSession failed/);
  t.match(await list(device.client), { sessionInfo: [] });
});

t.test("a long stream of fifty thousand is not held in memory, and other calls go on", async (t) => {
  const device = await startDevice({ capacity: 100_000 });
  t.teardown(() => device.stop());
  const client = spawnClient(device.target, 50_000);
  await until(() => device.sessions.stats.added > 0, 20_000);
  let answered = 0;
  while (device.sessions.stats.added < 50_000) {
    const before = performance.now();
    await get(device.client, 1n);
    t.ok(performance.now() - before < 1000);
    answered++;
  }
  t.ok(answered > 1, `${answered} calls were answered meanwhile`);
  await killed(client);
  t.equal(device.sessions.stats.added, 50_000);
});

/** Sends `count` sessions and keeps the stream open. */
function spawnClient(target: string, count: number): ChildProcess {
  const script = fileURLToPath(new URL("open-stream.js", import.meta.url));
  return spawn(process.execPath, [script, target, String(count)], { stdio: ["ignore", "pipe", "inherit"] });
}

/** Kills a client that has sent all it has, and waits until the server has noticed. */
async function killed(client: ChildProcess): Promise<void> {
  await new Promise((resolve) => client.stdout?.once("data", resolve));
  await new Promise((resolve) => setTimeout(resolve, 100));
  client.kill("SIGKILL");
  await new Promise((resolve) => client.once("exit", resolve));
  await new Promise((resolve) => setTimeout(resolve, 100));
}
