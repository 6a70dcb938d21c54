// TLS and mutual TLS of the control channel, over TCP.

import { execFile } from "node:child_process";
import { connect as connectTcp } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { type ChannelCredentials, credentials, Metadata, status } from "@grpc/grpc-js";
import t, { type Test } from "tap";
import type { TlsConfig } from "../../src/config/config.js";
import { DeviceClient, type StatsResponse } from "../../src/control/gen/sluice.js";
import { type RunningServer, type ServerOptions, startServer } from "../../src/control/server.js";
import { statsService } from "../../src/control/stats-service.js";
import { SluiceError } from "../../src/errors.js";
import { codeOf, until } from "./calls.js";
import { noOpenssl, Pems } from "./pems.js";

const skip = noOpenssl();
const STATS: StatsResponse = { ports: [], fates: [], workers: [], sessions: undefined, tunnels: undefined };

interface Tested {
  readonly server: RunningServer;
  readonly log: string[];
}

async function start(t: Test, tls: TlsConfig | undefined, options: Partial<ServerOptions> = {}): Promise<Tested> {
  const log: string[] = [];
  const say = (level: string) => (text: string) => void log.push(`${level}: ${text}`);
  const sink = { info: say("info"), warn: say("warn"), error: say("error") };
  const server = await startServer({ listen: "127.0.0.1:0", tls, ...options }, [statsService(() => STATS, sink)], sink);
  t.teardown(() => server.stop(0));
  return { server, log };
}

function client(t: Test, { server }: Tested, how: ChannelCredentials, host = "localhost"): DeviceClient {
  const made = new DeviceClient(`${host}:${server.port}`, how, {
    // Each its own connection.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.ssl_target_name_override": "localhost",
  });
  t.teardown(() => made.close());
  return made;
}

async function call(client: DeviceClient): Promise<{ code: status; details: string }> {
  return codeOf(
    new Promise((resolve, reject) => {
      client.stats({}, new Metadata(), { deadline: Date.now() + 3000 }, (error, value) =>
        error ? reject(error) : resolve(value),
      );
    }),
  );
}

/** A connection below gRPC, to see what the server shows. */
function handshake({ server }: Tested, options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      host: "127.0.0.1",
      port: server.port,
      servername: "localhost",
      ALPNProtocols: ["h2"],
      ...options,
    });
    socket.once("secureConnect", () => resolve(socket));
    socket.once("error", reject);
  });
}

t.test(
  "a client that trusts the certificate of localhost is served, one that does not or that speaks plaintext is not",
  { skip },
  async (t) => {
    const pems = new Pems(t);
    const tested = await start(t, pems.make("server"));
    t.equal((await call(client(t, tested, credentials.createSsl(pems.read("server.pem"))))).code, status.OK);

    pems.make("other");
    const distrustful = await call(client(t, tested, credentials.createSsl(pems.read("other.pem"))));
    t.equal(distrustful.code, status.UNAVAILABLE);
    const plain = await call(client(t, tested, credentials.createInsecure()));
    t.equal(plain.code, status.UNAVAILABLE);
    t.match(tested.log[0], /^info: gRPC shows the certificate CN=server, valid until .* GMT$/);
    t.match(
      tested.log[1],
      /^info: gRPC connection.* refused: .*(unknown ca|Does it trust the certificate\?)/,
      "one line a second",
    );
    t.equal(tested.log.length, 2);

    const socket = await handshake(tested, { ca: pems.read("server.pem") });
    t.equal(socket.alpnProtocol, "h2");
    t.ok(["TLSv1.2", "TLSv1.3"].includes(socket.getProtocol() ?? ""));
    socket.destroy();
    await t.rejects(handshake(tested, { ca: pems.read("server.pem"), ALPNProtocols: ["http/1.1"] }), "no HTTP/1.1");
    await t.rejects(
      handshake(tested, { ca: pems.read("server.pem"), maxVersion: "TLSv1.1", minVersion: "TLSv1.1" }),
      "no TLS 1.1",
    );
  },
);

t.test("a plaintext client of a TLS port is told of in the log", { skip }, async (t) => {
  const pems = new Pems(t);
  const tested = await start(t, pems.make("server"));
  const socket = connectTcp(tested.server.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  await new Promise((resolve) => socket.once("close", resolve));
  t.match(tested.log[1], /refused: it does not speak TLS$/);
});

t.test("Python's gRPC connects by TLS, and by mutual TLS", { skip }, async (t) => {
  const pems = new Pems(t);
  const ca = pems.make("authority", { ca: true });
  const server = pems.make("server", { by: ca });
  const mine = pems.make("client", { by: ca });
  const python = async (tested: Tested, ...pair: string[]): Promise<string> => {
    const script = `
import sys, grpc
read = lambda name: open(name, "rb").read() if name else None
target, ca, key, cert = sys.argv[1:5]
channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(read(ca), read(key), read(cert)))
try:
    channel.unary_unary("/sluice.v1.Device/Stats")(b"", timeout=5)
    print("served")
except grpc.RpcError as error:
    print(error.code().name)
`;
    const args = ["-c", script, `localhost:${tested.server.port}`, ca.cert, ...pair];
    try {
      return (await promisify(execFile)("/usr/bin/python3", args, { timeout: 20_000 })).stdout.trim();
    } catch (error) {
      return /No module named 'grpc'/.test(String(error)) ? "no grpc" : String(error);
    }
  };
  const plain = await python(await start(t, server), "", "");
  if (plain === "no grpc") return t.comment("python3-grpcio is not installed");
  t.equal(plain, "served");
  const mutual = await start(t, { ...server, clientCa: ca.cert });
  t.equal(await python(mutual, mine.key, mine.cert), "served");
  t.equal(await python(mutual, "", ""), "UNAVAILABLE");
});

t.test("mutual TLS: who does not show a certificate of the right authority is refused in the handshake", { skip }, async (t) => {
  const pems = new Pems(t);
  const ca = pems.make("authority", { ca: true });
  const foreign = pems.make("foreign", { ca: true });
  const server = pems.make("server", { by: ca });
  const shown = {
    right: pems.make("right", { by: ca }),
    wrong: pems.make("wrong", { by: foreign }),
    expired: pems.make("expired", { by: ca, days: -1 }),
    self: pems.make("self"),
  };
  const trust = pems.read("authority.pem");
  const whose = async (name: keyof typeof shown | undefined): Promise<{ code: status; log: string[] }> => {
    const tested = await start(t, { ...server, clientCa: ca.cert });
    const pair = name === undefined ? [] : ([pems.read(`${name}.key`), pems.read(`${name}.pem`)] as const);
    const { code } = await call(client(t, tested, credentials.createSsl(trust, ...pair)));
    return { code, log: tested.log };
  };
  const right = await whose("right");
  t.equal(right.code, status.OK);
  t.match(right.log, [/CN=server, valid until .*, and asks clients for theirs$/]);
  const none = await whose(undefined);
  t.equal(none.code, status.UNAVAILABLE);
  t.match(none.log[1], /refused: it showed no certificate, which grpc\.clientCa asks for/);
  for (const [name, why] of [
    ["wrong", /UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT/],
    ["expired", /CERT_HAS_EXPIRED/],
    ["self", /SELF_SIGNED/],
  ] as const) {
    const { code, log } = await whose(name);
    t.equal(code, status.UNAVAILABLE, name);
    t.match(log[1], why, name);
  }
});

t.test("reload: new connections see the new certificate, old ones go on, bad files change nothing", { skip }, async (t) => {
  const pems = new Pems(t);
  const first = pems.make("first");
  const second = pems.make("second");
  const files = { cert: pems.path("now.pem"), key: pems.path("now.key") };
  const install = (name: string) => {
    pems.write("now.pem", pems.read(`${name}.pem`));
    pems.write("now.key", pems.read(`${name}.key`));
  };
  install("first");
  const tested = await start(t, files);
  const seen = async (): Promise<string> => {
    const socket = await handshake(tested, { rejectUnauthorized: false });
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return String(CN);
  };
  const old = client(t, tested, credentials.createSsl(pems.read("first.pem")));
  t.equal((await call(old)).code, status.OK);
  const session = await handshake(tested, { ca: pems.read("first.pem"), maxVersion: "TLSv1.2" });
  const ticket = session.getSession();
  session.destroy();

  install("second");
  t.equal(await seen(), "first", "not before it is told to");
  tested.server.reload();
  t.equal(await seen(), "second");
  t.match(tested.log.join("\n"), /^info: gRPC shows the certificate CN=second/m);
  t.equal((await call(old)).code, status.OK, "the old connection goes on");
  t.equal((await call(client(t, tested, credentials.createSsl(pems.read("first.pem"))))).code, status.UNAVAILABLE);
  t.equal((await call(client(t, tested, credentials.createSsl(pems.read("second.pem"))))).code, status.OK);
  const resumed = await handshake(tested, { rejectUnauthorized: false, session: ticket, maxVersion: "TLSv1.2" });
  t.notOk(resumed.isSessionReused(), "no session from before is resumed");
  resumed.destroy();

  pems.write("now.key", pems.read("first.key"));
  tested.server.reload();
  t.match(
    tested.log.at(-1),
    /^error: the certificates that were read before stay in use: the private key .*now\.key \(grpc\.key\) does not belong to/,
  );
  t.equal(await seen(), "second");
  pems.write("now.pem", "nonsense");
  tested.server.reload();
  t.match(tested.log.at(-1), /^error: .* now\.pem \(grpc\.cert\) has no certificate|stay in use: .*now\.pem/);
  t.equal(await seen(), "second");
  t.equal((await call(old)).code, status.OK);
  t.notMatch(tested.log.join("\n"), first.key, "the log names no file that is not configured");
  t.notMatch(tested.log.join("\n"), pems.read("second.key").toString().split("\n")[1], "nor a key's bytes");
  t.ok(second);
});

t.test("reload of clientCa: a client of the old authority does not come in any more", { skip }, async (t) => {
  const pems = new Pems(t);
  const [one, two] = ["one", "two"].map((name) => pems.make(name, { ca: true }));
  const server = pems.make("server");
  pems.make("client-one", { by: one });
  pems.make("client-two", { by: two });
  const clientCa = pems.write("ca.pem", pems.read("one.pem"));
  const tested = await start(t, { ...server, clientCa });
  const by = (name: string) =>
    call(client(t, tested, credentials.createSsl(pems.read("server.pem"), pems.read(`${name}.key`), pems.read(`${name}.pem`))));
  t.equal((await by("client-one")).code, status.OK);
  t.equal((await by("client-two")).code, status.UNAVAILABLE);
  pems.write("ca.pem", pems.read("two.pem"));
  tested.server.reload();
  t.equal((await by("client-one")).code, status.UNAVAILABLE);
  t.equal((await by("client-two")).code, status.OK);
});

t.test("plaintext: reload says that there is nothing to read", async (t) => {
  const tested = await start(t, undefined);
  tested.server.reload();
  t.match(tested.log, [/^info: there are no certificates to read again: gRPC is in plaintext/]);
});

t.test("a server whose certificate cannot be read does not start", async (t) => {
  const tls = { cert: "/nowhere/server.pem", key: "/nowhere/server.key" };
  await t.rejects(
    startServer({ listen: "127.0.0.1:0", tls }, []),
    new SluiceError(
      "grpc",
      "reading the certificate /nowhere/server.pem (grpc.cert) failed: there is no such file. Names are relative to the working directory",
    ),
  );
});

t.test("IPv6 and localhost, by TLS, on a port that the kernel chose", { skip }, async (t) => {
  const pems = new Pems(t);
  const pair = pems.make("server");
  for (const [listen, host] of [
    ["[::1]:0", "[::1]"],
    ["localhost:0", "localhost"],
    ["[::]:0", "127.0.0.1"],
  ]) {
    const tested = await start(t, pair, { listen });
    t.ok(tested.server.port > 0, listen);
    const how = credentials.createSsl(pems.read("server.pem"));
    t.equal((await call(client(t, tested, how, host))).code, status.OK, listen);
  }
});

t.test("a client that does not finish the handshake, or says nothing after it, is cut off", { skip }, async (t) => {
  const pems = new Pems(t);
  const tested = await start(t, pems.make("server"), { handshakeMs: 300 });
  const begin = performance.now();
  const silent = connectTcp(tested.server.port, "127.0.0.1");
  await new Promise((resolve) => silent.once("close", resolve));
  t.ok(performance.now() - begin > 250 && performance.now() - begin < 3000);
  t.match(tested.log.at(-1), /refused: it did not finish the TLS handshake in time/);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const quiet = await handshake(tested, { ca: pems.read("server.pem") });
  quiet.resume();
  await new Promise((resolve) => quiet.once("close", resolve));
  t.match(tested.log.at(-1), /refused: it did not speak HTTP\/2 within 0\.3 s/);
  const good = client(t, tested, credentials.createSsl(pems.read("server.pem")));
  t.equal((await call(good)).code, status.OK);
  await new Promise((resolve) => setTimeout(resolve, 500));
  t.equal((await call(good)).code, status.OK, "who speaks is not");
  t.equal(tested.log.length, 3);
});

t.test("stopping does not wait for a handshake", { skip }, async (t) => {
  const pems = new Pems(t);
  const tested = await start(t, pems.make("server"));
  const silent = connectTcp(tested.server.port, "127.0.0.1");
  await new Promise((resolve) => silent.once("connect", resolve));
  let gone = false;
  silent.once("close", () => {
    gone = true;
  });
  const begin = performance.now();
  await tested.server.stop(5000);
  t.ok(performance.now() - begin < 1000);
  await until(() => gone);
});
