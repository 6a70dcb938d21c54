// --ca, --cert and --key of the compiled command, against a TLS server.

import { join } from "node:path";
import t from "tap";
import { makeCertificates, noOpenssl } from "../control/certificates.js";
import { startTlsServer } from "../control/tls-server.js";
import { sluice } from "./command.js";

const skip = noOpenssl();
const directory = t.testdir({});

/** Of every command that talks to a device. */
const COMMANDS = [
  ["program", "none.yaml"],
  ["stats"],
  ["session", "list"],
  ["session", "get", "1"],
  ["session", "delete", "1"],
  ["session", "closed"],
  ["session", "watch"],
  [
    "session",
    "add",
    "--in",
    "1",
    "--source",
    "10.0.0.1:1",
    "--destination",
    "10.0.0.2:2",
    "--protocol",
    "tcp",
    "--action",
    "drop",
  ],
];

t.test("every client command has them, and refuses wrong combinations with exit code 2", async (t) => {
  const wrong: [string[], string][] = [
    [["--cert", "a"], "sluice: --cert needs --key: a certificate and its private key go together\n"],
    [["--ca", "c", "--key", "b"], "sluice: --key needs --cert: a certificate and its private key go together\n"],
    [["--cert", "a", "--key", "b"], "sluice: --cert and --key need --ca: the CA that signed the server's certificate\n"],
  ];
  for (const command of COMMANDS) {
    for (const [options, stderr] of wrong) {
      t.same(await sluice(...command, ...options), { code: 2, signal: null, stdout: "", stderr }, command.join(" "));
    }
  }
});

t.test("plaintext, TLS and mutual TLS, and what is said when they do not go together", { skip }, async (t) => {
  const { ca, otherCa, server, client } = makeCertificates(directory);
  const get = (port: number, ...args: string[]) => sluice("session", "get", "7", "--target", `127.0.0.1:${port}`, ...args);
  const servers = await Promise.all([startTlsServer(undefined), startTlsServer(server), startTlsServer(server, ca)]);
  t.teardown(() => servers.map((running) => running.stop()));
  const [plain = 0, tls = 0, mutual = 0] = servers.map(({ port }) => port);
  const withCert = ["--ca", ca, "--cert", client.cert, "--key", client.key];

  const right: [number, string[]][] = [
    [plain, []],
    [tls, ["--ca", ca]],
    [mutual, withCert],
  ];
  for (const [port, args] of right) t.match(await get(port, ...args), { code: 0, stdout: /\n7 +established/, stderr: "" });

  const wrong: [number, string[], RegExp][] = [
    [tls, [], /^sluice: what listens at .* add --ca FILE\n$/],
    [plain, ["--ca", ca], /^sluice: what listens at .* does not speak TLS/],
    [tls, ["--ca", otherCa], /^sluice: the certificate of the device .* is not signed by --ca/],
    [mutual, ["--ca", ca], /^sluice: the device .* add --cert and --key\n$/],
    [tls, ["--ca", join(directory, "none.pem")], /^sluice: reading --ca .*none\.pem failed: ENOENT/],
    [tls, ["--ca", ca, "--cert", client.cert, "--key", server.key], /^sluice: --key .* does not belong to --cert/],
  ];
  for (const [port, args, expected] of wrong) {
    const began = performance.now();
    const { code, stdout, stderr } = await get(port, ...args);
    t.equal(code, 1, `${expected}`);
    t.equal(stdout, "");
    t.match(stderr, expected);
    t.ok(performance.now() - began < 3000, "soon");
  }
});
