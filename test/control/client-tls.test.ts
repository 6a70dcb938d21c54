// TLS of the client against servers of grpc-js with certificates of openssl.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { SluiceClient } from "../../src/control/client.js";
import { type TlsFiles, tlsCredentials } from "../../src/control/client-tls.js";
import { SluiceError } from "../../src/errors.js";
import { type Identity, makeCertificates, noOpenssl } from "./certificates.js";
import { startTlsServer } from "./tls-server.js";

const skip = noOpenssl();
const directory = t.testdir({});
const made = skip === false ? makeCertificates(directory) : undefined;
const { ca = "", otherCa = "" } = made ?? {};
const NONE: Identity = { cert: "", key: "" };
const { server = NONE, named = NONE, expired = NONE, client = NONE, stranger = NONE } = made ?? {};

/** The id that the server answers with, or the message of the failure, and how long that took. */
async function call(target: string, tls?: TlsFiles): Promise<{ answer: string; ms: number }> {
  const began = performance.now();
  const connection = new SluiceClient(target, tls);
  try {
    const session = await connection.getSession(7n);
    return { answer: `session ${session?.sessionId}`, ms: performance.now() - began };
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "grpc") throw error;
    return { answer: error.message, ms: performance.now() - began };
  } finally {
    connection.close();
  }
}

async function serve(t: Test, identity: Identity | undefined, clientCa?: string): Promise<number> {
  const running = await startTlsServer(identity, clientCa);
  t.teardown(() => running.stop());
  return running.port;
}

t.test("TLS and mutual TLS, by name and by address", { skip }, async (t) => {
  const tls = await serve(t, server);
  const mutual = await serve(t, server, ca);
  for (const host of ["localhost", "127.0.0.1"]) {
    t.equal((await call(`${host}:${tls}`, { ca })).answer, "session 7", host);
    t.equal((await call(`${host}:${tls}`, { ca, ...client })).answer, "session 7", `${host}, with a certificate`);
    t.equal((await call(`${host}:${mutual}`, { ca, ...client })).answer, "session 7", `${host}, mutual`);
  }
});

t.test("a CA file may hold several certificates, and text beside them", { skip }, async (t) => {
  const bundle = join(directory, "bundle.pem");
  writeFileSync(bundle, `# the other\n${readFileSync(otherCa, "latin1")}\n# ours\n${readFileSync(ca, "latin1")}`);
  t.equal((await call(`localhost:${await serve(t, server)}`, { ca: bundle })).answer, "session 7");
});

t.test("a connection that is refused says at once why, and what to change", { skip }, async (t) => {
  const plain = await serve(t, undefined);
  const tls = await serve(t, server);
  const mutual = await serve(t, server, ca);
  const http = createServer((socket) => socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  t.teardown(() => http.close());
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const { port: httpPort } = http.address() as { port: number };
  const cases: [string, number, TlsFiles | undefined, RegExp][] = [
    ["plaintext client, TLS server", tls, undefined, /^what listens at .* does not speak plaintext gRPC .* add --ca FILE$/],
    ["plaintext client, mutual TLS server", mutual, undefined, /does not speak plaintext gRPC .* add --ca FILE$/],
    ["plaintext client, HTTP/1 server", httpPort, undefined, /does not speak plaintext gRPC /],
    ["TLS client, plaintext server", plain, { ca }, /does not speak TLS\. .* leave out --ca$/],
    ["TLS client, HTTP/1 server", httpPort, { ca }, /does not speak TLS\./],
    ["another CA", tls, { ca: otherCa }, /certificate .* is not signed by --ca .*other\.pem \(.+\): give the CA that signed it$/],
    ["expired", await serve(t, expired), { ca }, /the TLS certificate .* is out of date \(certificate has expired\): renew it/],
    ["another name", await serve(t, named), { ca }, /certificate .* is for DNS:device\.test: use such a name in --target/],
    [
      "no client certificate",
      mutual,
      { ca },
      /^the device at \S+ ended the TLS handshake \([\w -]+\)\. .* asks for a client certificate, add --cert and --key$/,
    ],
    [
      "an unknown client certificate",
      mutual,
      { ca, ...stranger },
      /Is --cert .*stranger\.pem signed by the CA that it trusts\?$/,
    ],
  ];
  for (const [name, port, files, expected] of cases) {
    const { answer, ms } = await call(`localhost:${port}`, files);
    t.match(answer, expected, name);
    t.match(answer, `localhost:${port}`, `${name}: names the device`);
    t.ok(ms < 2000, `${name}: took ${ms.toFixed()} ms`);
    t.equal(answer.split("\n").length, 1, `${name}: one line`);
  }
});

t.test("another name, by address", { skip }, async (t) => {
  const { answer } = await call(`127.0.0.1:${await serve(t, named)}`, { ca });
  t.match(answer, /certificate .* is for DNS:device\.test: use such a name/);
});

t.test("what accepts connections and stays silent is given up after 5 s", { skip }, async (t) => {
  const sockets = new Set<{ destroy(): unknown }>();
  const silent = createServer((socket) => sockets.add(socket.on("error", () => {})));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as { port: number };
  const [plain, tls] = await Promise.all([call(`127.0.0.1:${port}`), call(`127.0.0.1:${port}`, { ca })]);
  for (const { answer, ms } of [plain, tls]) {
    t.match(answer, new RegExp(`^no connection to 127\\.0\\.0\\.1:${port} came about within 5 s\\.`));
    t.ok(ms > 4500 && ms < 7000, `${ms.toFixed()} ms`);
  }
  t.match(plain.answer, /with TLS add --ca FILE/);
});

t.test("files that are missing, or hold something else, are named; no key shows in a message", { skip }, async (t) => {
  const file = (name: string, content: string | Buffer): string => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  const der = join(directory, "ca.der");
  execFileSync("openssl", ["x509", "-in", ca, "-outform", "der", "-out", der]);
  const encrypted = join(directory, "encrypted.key");
  execFileSync("openssl", ["pkey", "-in", client.key, "-aes256", "-passout", "pass:secret", "-out", encrypted]);
  const broken = (text: string) => text.replace(/(-----BEGIN .*-----\n)[\s\S]{40}/, "$1");
  const secret = readFileSync(client.key, "latin1");
  const cases: [string, TlsFiles, RegExp][] = [
    ["no CA file", { ca: join(directory, "none.pem") }, /^reading --ca .*none\.pem failed: ENOENT/],
    ["a directory", { ca: directory }, /^reading --ca .* failed: EISDIR/],
    ["an empty CA file", { ca: file("empty.pem", "") }, /^--ca .*empty\.pem holds no certificate in PEM/],
    ["a CA file in DER", { ca: der }, /^--ca .*ca\.der holds no certificate in PEM .* `openssl x509 -inform der/],
    ["a key as the CA", { ca: client.key }, /^--ca .*client\.key holds no certificate in PEM/],
    [
      "a broken CA file",
      { ca: file("bad.pem", broken(readFileSync(ca, "latin1"))) },
      /^--ca .*bad\.pem: its certificate is broken/,
    ],
    ["no key file", { ca, cert: client.cert, key: join(directory, "none.key") }, /^reading --key .*none\.key failed: ENOENT/],
    ["a key as the certificate", { ca, cert: client.key, key: client.key }, /^--cert .*client\.key holds no certificate/],
    ["a certificate as the key", { ca, cert: client.cert, key: client.cert }, /^--key .*client\.pem holds no private key/],
    [
      "a broken key",
      { ca, cert: client.cert, key: file("bad.key", broken(secret)) },
      /^--key .*bad\.key holds .* that is broken/,
    ],
    ["an encrypted key", { ca, cert: client.cert, key: encrypted }, /^--key .* needs a passphrase, which is not supported/],
    ["another's key", { ca, cert: client.cert, key: server.key }, /^--key .*server\.key does not belong to --cert .*client\.pem/],
  ];
  const secrets = [client.key, server.key, encrypted, join(directory, "bad.key")].flatMap((name) =>
    readFileSync(name, "latin1")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("-----")),
  );
  for (const [name, files, expected] of cases) {
    try {
      tlsCredentials(files);
      t.fail(`${name}: taken`);
    } catch (error) {
      t.ok(error instanceof SluiceError, name);
      const { message, stack, cause } = error as SluiceError;
      t.match(message, expected, name);
      const all = `${message}${stack}${cause instanceof Error ? cause.stack : ""}`;
      t.notOk(
        secrets.some((line) => all.includes(line)),
        `${name}: no key`,
      );
    }
  }
});
