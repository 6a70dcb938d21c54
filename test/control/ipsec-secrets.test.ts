// Keys of security associations: overwritten as soon as nobody needs them, and in no answer, error or line of the log.

import { EventEmitter } from "node:events";
import { Metadata, type ServerReadableStream } from "@grpc/grpc-js";
import t from "tap";
import { createTunnels } from "../../src/control/create-tunnels.js";
import {
  CreateIpTunnelResponses,
  IpTunnelRequest,
  type IpTunnelResponse,
  IpTunnelResponses,
} from "../../src/control/gen/tunneloffload.js";
import { tunnelService } from "../../src/control/tunnel-service.js";
import { dec, decUpdate, enc, encUpdate, material, sa } from "./ipsec-tunnels.js";
import { change, create, device, getTunnel, namesOf, type TunnelDevice } from "./tunnel-device.js";

function keysIn(request: IpTunnelRequest): Buffer[] {
  if (request.tunnel?.$case !== "ipsecTunnel") return [];
  const { ipsec } = request.tunnel.value;
  if (ipsec?.$case === "ipsecDec") return ipsec.value.ipsecSas.map(({ encryptionKey }) => encryptionKey);
  return ipsec?.value.ipsecSa === undefined ? [] : [ipsec.value.ipsecSa.encryptionKey];
}

function wiped(requests: readonly IpTunnelRequest[]): boolean {
  const keys = requests.flatMap(keysIn);
  return keys.length > 0 && keys.every((key) => key.length > 0 && key.every((byte) => byte === 0));
}

/** Carried out, refused for many reasons, in hexadecimal and raw. */
function requests(): IpTunnelRequest[] {
  const hex = (seed: number) => Buffer.from(material(36, seed).toString("hex"));
  return [
    enc(),
    enc({ ipsecSa: sa(1001, hex(2)) }, { tunnelId: 2n }),
    enc(),
    dec([sa(5), sa(6, hex(6)), sa(5, material(36, 7))], {}, { tunnelId: 3n }),
    dec([sa(5), sa(6, material(17))], {}, { tunnelId: 4n }),
    dec([sa(5)], { encryptionType: 77 as number }, { tunnelId: 5n }),
    dec([sa(5)], {}, { tunnelId: 6n, matchCriteria: undefined }),
    dec([sa(5, Buffer.from(`${material(35).toString("hex")}zz`))], {}, { tunnelId: 7n }),
    encUpdate({ ipsecSa: sa(1002, hex(9)) }),
    decUpdate([sa(5)]),
    change(99, 2, { tunnel: enc().tunnel }),
    change(2, 3, { tunnel: enc().tunnel }),
  ];
}

t.test("whatever becomes of a request, its keys are zeros afterwards", async (t) => {
  const made = await device(t);
  const done = requests();
  await made.writer.write(done, true);
  t.ok(wiped(done), "carried out, or refused one by one");
  const gone = requests();
  await made.writer.write(gone, true, () => true);
  t.ok(wiped(gone), "the client is gone");
  made.ready = false;
  const refused = requests();
  await made.writer.write(refused, true);
  t.ok(wiped(refused), "the device cannot serve");
  made.ready = true;
  const small = await device(t, { capacity: 1 });
  const full = requests();
  await small.writer.write(full, true);
  t.ok(wiped(full), "all of a batch is refused");
  made.rules.add = () => {
    throw new Error("broken");
  };
  const broken = [enc({}, { tunnelId: 50n })];
  await t.rejects(made.writer.write(broken, true), { message: "broken" });
  t.ok(wiped(broken), "an error that nobody foresaw");
});

t.test("the message as it came is overwritten once it is decoded, and when it cannot be", async (t) => {
  const made = await device(t);
  const names = namesOf({});
  const { definition } = tunnelService({ rules: made.rules, writer: made.writer, names, missing: "response", log: console });
  const deserialize = definition.createIpTunnel?.requestDeserialize as (message: Buffer) => IpTunnelRequest;
  const message = Buffer.from(IpTunnelRequest.encode(enc()).finish());
  const request = deserialize(message);
  t.same(keysIn(request), [material(36, 1000)]);
  t.ok(message.every((byte) => byte === 0));
  const cut = Buffer.from(IpTunnelRequest.encode(enc()).finish()).subarray(0, -1);
  t.throws(() => deserialize(cut));
  t.ok(cut.every((byte) => byte === 0));
});

t.test("a stream that is cut off: what it brought is wiped, before and after", async (t) => {
  const made = await device(t);
  const call = Object.assign(new EventEmitter(), {
    metadata: new Metadata(),
    getDeadline: () => Number.POSITIVE_INFINITY,
    isPaused: () => false,
    cancelled: false,
    destroyed: false,
  });
  const answers: unknown[] = [];
  createTunnels<IpTunnelRequest>("CreateIpTunnel", made.writer, { info: () => {}, error: () => {} })(
    call as unknown as ServerReadableStream<IpTunnelRequest, Buffer>,
    (...answer) => void answers.push(answer),
  );
  const [before, after] = [requests(), requests()];
  for (const request of before) call.emit("data", request);
  call.cancelled = true;
  call.emit("cancelled");
  t.ok(wiped(before));
  for (const request of after) call.emit("data", request);
  call.emit("end");
  await new Promise((resolve) => setTimeout(resolve, 30));
  t.ok(wiped(after));
  t.same(answers, []);
  t.equal(made.rules.size, 0);
});

/** The text and the bytes of a key, as they may turn up somewhere. */
function formsOf(key: Buffer): string[] {
  return [8, key.length - 8].flatMap((from) => {
    const piece = key.subarray(from - 8, from + 8);
    const base64 = piece.subarray(0, 15).toString("base64").slice(0, 19);
    return [piece.toString("latin1"), piece.toString("hex"), base64, [...piece].join(","), [...piece].join(", ")];
  });
}

t.test("no answer, error or line of the log has a key", async (t) => {
  const made = await device(t);
  const secrets = requests().flatMap(keysIn).flatMap(formsOf);
  // What is sent in hexadecimal is kept in bytes.
  for (const seed of [2, 6, 9]) secrets.push(...formsOf(material(36, seed)));
  const seen: string[] = [];
  const answer = await create(made.client, requests());
  seen.push(Buffer.from(CreateIpTunnelResponses.encode(answer).finish()).toString("latin1"), JSON.stringify(answer, plain));
  t.equal(answer.responses.filter(({ error }) => error !== undefined).length, 7);
  for (const id of [1, 2, 3]) seen.push(text(await getTunnel(made.client, id)));
  for (const page of await pages(made)) seen.push(text(page));
  made.rules.add = (rule) => {
    throw new Error(`broken: ${JSON.stringify(rule.id, plain)}`);
  };
  await t.rejects(create(made.client, [enc({}, { tunnelId: 50n })]), /its log has the cause/);
  seen.push(...made.log);
  t.ok(made.log.length >= 2);
  for (const secret of secrets) {
    for (const place of seen) if (place.toLowerCase().includes(secret.toLowerCase())) t.fail(`a key in ${place.slice(0, 200)}`);
  }
  // What this looks for can be found.
  const [key] = keysIn(requests()[0] as IpTunnelRequest) as [Buffer];
  const request = Buffer.from(IpTunnelRequest.encode(enc()).finish()).toString("latin1").toLowerCase();
  t.ok(formsOf(key).some((secret) => request.includes(secret.toLowerCase())));
});

t.test("GetIpTunnel and GetAllIpTunnels: keys are empty; with api.revealKeys they are key and salt", async (t) => {
  for (const revealKeys of [false, true]) {
    const made = await device(t, { revealKeys });
    await create(made.client, [enc(), dec([sa(5), sa(6, material(32, 6))], {}, { tunnelId: 2n })]);
    const wanted = [material(36, 1000), material(36, 5), Buffer.concat([material(32, 6), Buffer.alloc(4)])];
    const one = [await getTunnel(made.client, 1), await getTunnel(made.client, 2)];
    for (const responses of [one, (await pages(made)).flat()]) {
      const given = responses.flatMap(({ ipTunnel }) => keysIn(ipTunnel as IpTunnelRequest));
      t.same(given, revealKeys ? wanted : wanted.map(() => Buffer.alloc(0)));
    }
    // Revealing takes nothing away.
    t.same(keysIn((await getTunnel(made.client, 1)).ipTunnel as IpTunnelRequest)[0]?.length, revealKeys ? 36 : 0);
  }
});

async function pages({ client }: TunnelDevice): Promise<IpTunnelResponse[][]> {
  const all: IpTunnelResponse[][] = [];
  for await (const { responses } of client.getAllIpTunnels({ tunnelsPerRequest: 2 })) all.push(responses);
  return all;
}

function text(answer: IpTunnelResponse | IpTunnelResponse[]): string {
  const responses = Array.isArray(answer) ? answer : [answer];
  return `${Buffer.from(IpTunnelResponses.encode({ responses }).finish()).toString("latin1")}${JSON.stringify(responses, plain)}`;
}

function plain(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}` : value;
}
