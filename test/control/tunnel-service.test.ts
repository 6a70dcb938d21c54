import { connect } from "node:http2";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import t from "tap";
import { AddTunnelStatus, type IpTunnelResponse, type IpTunnelStatsResponse } from "../../src/control/gen/tunneloffload.js";
import { SKEW } from "../../src/table/session-memory.js";
import { codeOf } from "./calls.js";
import { range } from "./device.js";
import {
  change,
  create,
  criteria,
  device,
  geneveDecap,
  geneveEncap,
  getTunnel,
  s_addr,
  type TunnelDevice,
  tunnel,
} from "./tunnel-device.js";

const { _TUNNEL_ACCEPTED, _TUNNEL_REJECTED, _TUNNEL_TABLE_FULL, _TUNNEL_TABLE_UNAVAILABLE, _TUNNEL_ALREADY_EXISTS } =
  AddTunnelStatus;

const ids = (made: TunnelDevice) => [...made.rules.list()].map(({ rule }) => Number(rule.id));

t.test("a stream of 64 goes in whole, each with a response of its own, in order", async (t) => {
  const made = await device(t);
  const answer = await create(
    made.client,
    range(1, 65).map((id) => tunnel(id)),
  );
  t.match(answer, { requestStatus: _TUNNEL_ACCEPTED, errorStatus: 0n });
  t.same(
    answer.responses,
    range(1, 65).map((id) => ({ tunnelId: BigInt(id), error: undefined })),
  );
  t.same(ids(made), range(1, 65));
});

t.test("requests of a stream are carried out in order; those that are wrong do not keep the others out", async (t) => {
  const made = await device(t);
  const match = { matchCriteria: criteria({ tunnelId: 1n }) };
  const answer = await create(made.client, [
    tunnel(2, match),
    tunnel(1),
    tunnel(2, match),
    tunnel(1),
    change(2, 3),
    tunnel(2),
    change(9, 2),
    change(9, 3),
    change(1, 0),
    change(1, 7),
    change(0, 3),
  ]);
  t.equal(answer.requestStatus, _TUNNEL_REJECTED);
  t.equal(answer.errorStatus, 0b111_1100_1001n);
  t.same(
    answer.responses.map(({ tunnelId }) => Number(tunnelId)),
    [2, 1, 2, 1, 2, 2, 9, 9, 1, 1, 0],
  );
  const wrong = answer.responses.flatMap(({ error }) => (error === undefined ? [] : [error]));
  const sentences = [
    /^match_criteria.tunnel_id 1: there is no such tunnel; create it first/,
    /^tunnel 1 exists already: _UPDATE or _DELETE it, or choose another/,
    /^there is no tunnel 9: _CREATE it first$/,
    /^there is no tunnel 9/,
    /^operation is _NONE: give _CREATE, _UPDATE or _DELETE$/,
    /^operation 7 is none of/,
    /^tunnel_id is missing: give that of the tunnel$/,
  ];
  t.equal(wrong.length, sentences.length);
  for (const [i, sentence] of sentences.entries()) t.match(wrong[i]?.errorString, sentence);
  t.same(
    wrong.map(({ errorMessage }) => errorMessage?.matchError),
    [1, 1, 1, 1, 0, 3, 1],
  );
  t.same(ids(made), [1, 2]);
  t.match(made.log.join(), /7 requests of CreateIpTunnel were not carried out; request 0: match_criteria.tunnel_id 1/);
});

t.test("only existing ones: _TUNNEL_ALREADY_EXISTS; an empty stream is accepted", async (t) => {
  const made = await device(t);
  t.match(await create(made.client, []), { requestStatus: _TUNNEL_ACCEPTED, errorStatus: 0n, responses: [] });
  await create(made.client, [tunnel(1)]);
  const answer = await create(made.client, [tunnel(2), tunnel(1), tunnel(2)]);
  t.match(answer, { requestStatus: _TUNNEL_ALREADY_EXISTS, errorStatus: 0b110n });
});

t.test("id 0: the device assigns ids from 2147483647 downwards and returns them", async (t) => {
  const made = await device(t);
  const answer = await create(made.client, [tunnel(0), tunnel(5), tunnel(0, { matchCriteria: criteria() })]);
  t.same(
    answer.responses.map(({ tunnelId }) => tunnelId),
    [2147483647n, 5n, 2147483646n],
  );
  t.same((await getTunnel(made.client, 2147483646n)).ipTunnel?.tunnelId, 2147483646n);
});

t.test("a batch that does not fit: _TUNNEL_TABLE_FULL, and nothing of it is carried out", async (t) => {
  const made = await device(t, { capacity: 10 });
  await create(
    made.client,
    range(1, 6).map((id) => tunnel(id)),
  );
  const batch = [...range(6, 12).map((id) => tunnel(id)), change(1, 3), tunnel(3), tunnel(12, { matchCriteria: undefined })];
  const answer = await create(made.client, batch);
  t.equal(answer.requestStatus, _TUNNEL_TABLE_FULL);
  t.equal(answer.errorStatus, 0b1_1111_1111n);
  t.match(answer.responses[0]?.error?.errorString, /^the tunnel table has 10 places and the stream needs 11: none of it was/);
  t.match(answer.responses[7]?.error?.errorString, /^tunnel 3 exists already/);
  t.match(answer.responses[8]?.error?.errorString, /^match_criteria is missing/);
  t.same(ids(made), range(1, 6));
  // Places that the stream itself makes free count.
  const fits = await create(made.client, [change(1, 3), ...range(6, 12).map((id) => tunnel(id))]);
  t.equal(fits.requestStatus, _TUNNEL_ACCEPTED);
  t.equal(made.rules.size, 10);
});

t.test("a longer stream goes in as it comes, and as far as there is room, also while a worker is busy", async (t) => {
  const made = await device(t, { capacity: 500 });
  made.busy(true);
  const pending = create(
    made.client,
    range(1, 601).flatMap((id) => [tunnel(id), change(id, 2, { nextAction: 2 })]),
  );
  const timer = setInterval(() => {
    made.busy(false);
    setImmediate(() => made.busy(true));
  }, 2);
  const answer = await pending;
  clearInterval(timer);
  made.busy(false);
  t.equal(answer.requestStatus, _TUNNEL_TABLE_FULL);
  t.equal(answer.errorStatus, 0n);
  t.equal(answer.responses.length, 1200);
  t.same(
    answer.responses.filter(({ error }) => error !== undefined).map(({ tunnelId }) => Number(tunnelId)),
    range(501, 601).flatMap((id) => [id, id]),
  );
  t.match(answer.responses[1000]?.error?.errorString, /^the tunnel table is full \(500\): delete tunnels, or raise/);
  t.equal(made.rules.size, 500);
  t.equal(made.rules.get(500n)?.rule.next, 2);
});

t.test("a batch whose client cancels or runs out of time leaves nothing", async (t) => {
  const made = await device(t);
  for (const deadline of [undefined, Date.now() + 100]) {
    const failed = new Promise<number>((resolve) => {
      const done = (error: ServiceError | null) => resolve(error?.code ?? 0);
      const call = made.client.createIpTunnel(new Metadata(), deadline === undefined ? {} : { deadline }, done);
      for (const id of range(1, 20)) call.write(tunnel(id));
      if (deadline === undefined) setTimeout(() => call.cancel(), 50);
    });
    t.equal(await failed, deadline === undefined ? status.CANCELLED : status.DEADLINE_EXCEEDED);
    await new Promise((resolve) => setTimeout(resolve, 50));
    t.equal(made.rules.size, 0);
  }
});

t.test("a device that cannot serve answers _TUNNEL_TABLE_UNAVAILABLE", async (t) => {
  const made = await device(t);
  made.ready = false;
  const answer = await create(made.client, [tunnel(1)]);
  t.match(answer, { requestStatus: _TUNNEL_TABLE_UNAVAILABLE, errorStatus: 1n });
  t.match(answer.responses[0]?.error?.errorString, /try again/);
  t.match(await create(made.client, []), { requestStatus: _TUNNEL_TABLE_UNAVAILABLE });
});

t.test("the answer to a deletion comes when no packet goes through the tunnel any more", async (t) => {
  const made = await device(t);
  await create(made.client, [tunnel(1)]);
  made.busy(true);
  let answered = false;
  const answer = create(made.client, [change(1, 3)]).then(() => {
    answered = true;
  });
  // The batch itself waits for the burst, too.
  await new Promise((resolve) => setTimeout(resolve, 60));
  t.notOk(answered);
  made.busy(false);
  await answer;
  t.equal(made.rules.size, 0);
});

t.test("an orphan says so until its tunnel is there again", async (t) => {
  const made = await device(t);
  await create(made.client, [tunnel(1), tunnel(2, { matchCriteria: criteria({ tunnelId: 1n }) })]);
  t.equal((await getTunnel(made.client, 2)).error, undefined);
  await create(made.client, [change(1, 3)]);
  const orphan = await getTunnel(made.client, 2);
  t.equal(orphan.ipTunnel?.matchCriteria?.tunnelId, 1n);
  t.equal(orphan.error?.errorMessage?.matchError, 1);
  t.match(orphan.error?.errorString, /^match_criteria.tunnel_id 1 was deleted: the tunnel matches nothing until/);
  const update = await create(made.client, [change(2, 2, { nextAction: 2 })]);
  t.equal(update.requestStatus, _TUNNEL_ACCEPTED, "what it had may stay");
  await create(made.client, [tunnel(1)]);
  t.equal((await getTunnel(made.client, 2)).error, undefined);
});

t.test("unknown ids: a response with INVALID_TUNNEL_ID, or NOT_FOUND", async (t) => {
  const made = await device(t);
  t.match(await getTunnel(made.client, 7), {
    tunnelId: 7n,
    ipTunnel: undefined,
    error: { errorMessage: { matchError: 1 }, errorString: "there is no tunnel 7" },
  });
  const strict = await device(t, { missing: "status" });
  t.match(await codeOf(getTunnel(strict.client, 7)), { code: status.NOT_FOUND, details: "there is no tunnel 7" });
  t.match(await codeOf(stats(strict, 7)), { code: status.NOT_FOUND });
  t.match(await stats(made, 7), { tunnelId: 7n, tunnelCounters: undefined, error: { errorString: "there is no tunnel 7" } });
});

t.test("counters are those of the tunnel: a new one of the same id begins at zero, though others match on it", async (t) => {
  const made = await device(t);
  await create(made.client, [tunnel(1), tunnel(2, { matchCriteria: criteria({ tunnelId: 1n }) })]);
  const lane = new Float64Array(made.memory.lanes[0] as SharedArrayBuffer, SKEW);
  lane.set([1, 2, 3, 4, 5, 6, 7, 8]);
  const counters = {
    inPackets: 1n,
    outPackets: 2n,
    inBytes: 3n,
    outBytes: 4n,
    inPacketsDrops: 5n,
    outPacketsDrops: 6n,
    inBytesDrops: 7n,
    outBytesDrops: 8n,
  };
  t.same((await getTunnel(made.client, 1)).tunnelCounters, counters);
  t.same((await stats(made, 1)).tunnelCounters, counters);
  await create(made.client, [change(1, 2, { nextAction: 2 })]);
  t.same((await stats(made, 1)).tunnelCounters, counters, "an update keeps them");
  await create(made.client, [change(1, 3), tunnel(1)]);
  t.match((await stats(made, 1)).tunnelCounters, { inPackets: 0n, outBytesDrops: 0n });
});

t.test("all tunnels come in the order of creation, in messages of tunnels_per_request", async (t) => {
  const made = await device(t);
  t.same(await pages(made, 0), []);
  await create(
    made.client,
    range(1, 11).map((id) => tunnel(11 - id)),
  );
  t.same(await pages(made, 0), [range(1, 11).reverse()]);
  t.same(await pages(made, 4), [
    [10, 9, 8, 7],
    [6, 5, 4, 3],
    [2, 1],
  ]);
  t.same(await pages(made, 5), [range(6, 11).reverse(), range(1, 6).reverse()]);
  const all = [];
  for await (const { responses } of made.client.getAllIpTunnelsStats({ tunnelsPerRequest: 3 })) all.push(responses.length);
  t.same(all, [3, 3, 3, 1]);
});

t.test("more than a message may hold comes in several; a client that does not read holds one of them", async (t) => {
  const made = await device(t, { capacity: 30_000 });
  const data = Buffer.alloc(124, 7);
  const option = { optionClass: 1, type: 2, length: 31, data };
  const made64 = (from: number) =>
    range(from, from + 64).map((id) => tunnel(id, { tunnel: geneveEncap({ geneveOption: [option] }) }));
  for (let from = 1; from < 29_000; from += 64) await made.writer.write(made64(from), true);
  const call = made.client.getAllIpTunnels({ tunnelsPerRequest: 0 });
  const sizes: number[] = [];
  for await (const { responses } of call) sizes.push(responses.length);
  t.ok(sizes.length > 1, `${sizes}`);
  t.equal(
    sizes.reduce((sum, size) => sum + size),
    made.rules.size,
  );
  let taken = 0;
  const list = made.rules.list.bind(made.rules);
  made.rules.list = function* () {
    for (const info of list()) {
      taken++;
      yield info;
    }
  };
  // grpc-js reads ahead whatever its user does; this one does not.
  const session = connect(`http://${made.target}`);
  const unread = session.request({
    ":method": "POST",
    ":path": "/tunneloffload.v2.IpTunnelService/GetAllIpTunnels",
    "content-type": "application/grpc",
    te: "trailers",
  });
  // tunnels_per_request = 1
  unread.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
  await new Promise((resolve) => setTimeout(resolve, 300));
  made.rules.list = list;
  t.ok(taken > 0 && taken < 1000, `${taken} tunnels fill the connection's window`);
  t.same(await pages(made, 0).then((all) => all.flat().length), made.rules.size, "others are served meanwhile");
  session.destroy();
});

t.test("capabilities are those of this version", async (t) => {
  const made = await device(t);
  const answer = await new Promise((resolve, reject) => {
    made.client.capabilities({}, (error, value) => (error ? reject(error) : resolve(value)));
  });
  t.same(answer, {
    matchCapabilities: {
      ingressInterfaceMatching: true,
      vxlanMatching: true,
      geneveMatching: true,
      tunnelMatching: true,
      spiMatching: true,
    },
    ipsecCapabilities: {
      tunnelTypeSupported: [0, 1, 2, 3],
      encryptionSupported: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    },
    geneveCapabilities: { numberGeneveOptionsSupported: 63 },
  });
});

t.test("a decapsulation of whatever is sent to any address is logged once", async (t) => {
  const made = await device(t);
  const outer = { sourceIp: 0, sourceIpPrefix: 0, destinationIp: s_addr("192.0.2.1"), destinationIpPrefix: 0 };
  const named = criteria({ ipMatch: { $case: "ipv4Match", value: outer } });
  await create(made.client, [
    tunnel(1, { matchCriteria: named, tunnel: geneveDecap }),
    tunnel(2, { matchCriteria: criteria(), tunnel: geneveDecap }),
    tunnel(3),
    change(2, 2, { nextAction: 2 }),
  ]);
  t.equal(made.log.length, 1);
  t.match(made.log[0], /tunnel 2 decapsulates packets to any address/);
});

function stats({ client }: TunnelDevice, id: number): Promise<IpTunnelStatsResponse> {
  return new Promise((resolve, reject) => {
    client.getIpTunnelStats({ tunnelId: BigInt(id) }, (error, value) => (error ? reject(error) : resolve(value)));
  });
}

async function pages({ client }: TunnelDevice, tunnelsPerRequest: number): Promise<number[][]> {
  const found: number[][] = [];
  for await (const { responses } of client.getAllIpTunnels({ tunnelsPerRequest })) {
    found.push((responses as IpTunnelResponse[]).map(({ tunnelId }) => Number(tunnelId)));
  }
  return found;
}
