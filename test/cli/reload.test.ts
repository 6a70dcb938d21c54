// SIGHUP to a running device: certificates are read again, and a terminal that is gone ends it.

import { execFileSync, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type TLSSocket } from "node:tls";
import { credentials, Metadata, status } from "@grpc/grpc-js";
import t from "tap";
import { SessionTableClient } from "../../src/control/gen/openoffload.js";
import { DeviceClient } from "../../src/control/gen/sluice.js";
import { until } from "../control/calls.js";
import { noOpenssl, Pems } from "../control/pems.js";
import { Running } from "./command.js";

const skip = noOpenssl();

function stats(client: DeviceClient): Promise<unknown> {
  return new Promise((resolve, reject) => {
    client.stats({}, (error, value) => (error ? reject(error) : resolve(value)));
  });
}

/** The name in the certificate that a new connection is shown. */
function shown(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect(
      { host: "127.0.0.1", port, servername: "localhost", ALPNProtocols: ["h2"], rejectUnauthorized: false },
      () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      },
    );
    socket.on("error", reject);
  });
}

t.test(
  "new connections see the new certificate, the old connection goes on; a broken file keeps the old one",
  { skip },
  async (t) => {
    const pems = new Pems(t);
    for (const name of ["first", "second"]) pems.make(name);
    const install = (name: string) => {
      pems.write("now.pem", pems.read(`${name}.pem`));
      pems.write("now.key", pems.read(`${name}.key`));
    };
    install("first");
    const file = pems.write(
      "sluice.yaml",
      `ports: [{ lif: 1, driver: memory, host: { driver: memory } }]
workers: 1
grpc: { listen: "0.0.0.0:0", cert: ${pems.path("now.pem")}, key: ${pems.path("now.key")} }
`,
    );
    const running = new Running(["run", "-c", file]);
    t.teardown(() => running.child.kill("SIGKILL"));
    const port = Number((await running.said(/gRPC on 0\.0\.0\.0:(\d+),/))[1]);
    const old = new DeviceClient(`localhost:${port}`, credentials.createSsl(pems.read("first.pem")));
    t.teardown(() => old.close());
    await stats(old);
    t.equal(await shown(port), "first");

    const hangUp = async (name: string) => {
      running.child.kill("SIGHUP");
      for (let tries = 0; tries < 100 && (await shown(port)) !== name; tries++) await sleep(20);
      t.equal(await shown(port), name);
      await stats(old);
    };
    install("second");
    await hangUp("second");
    pems.write("now.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
    await hangUp("second");
    pems.write("now.pem", pems.read("first.pem"));
    await hangUp("second");
    await sleep(300);
    t.equal(await shown(port), "second");

    running.child.kill("SIGTERM");
    const { code, stderr } = await running.ended;
    t.equal(code, 0);
    t.match(stderr, /"level":30.*gRPC shows the certificate CN=first, valid until/);
    t.match(stderr, /"level":30.*gRPC shows the certificate CN=second/);
    t.match(stderr, /"level":50.*before stay in use: the certificate \S*now\.pem \(grpc\.cert\): it is no X\.509 certificate/);
    t.match(stderr, /"level":50.*before stay in use: the private key \S*now\.key \(grpc\.key\) does not belong to/);
    t.notMatch(stderr, /PRIVATE KEY-----\\n/);
    for (const name of ["first", "second"]) t.notOk(stderr.includes(pems.read(`${name}.key`).toString().split("\n")[1]));
  },
);

t.test("without TLS there is nothing to read, and the device goes on", async (t) => {
  const running = new Running(["run", "--grpc", "127.0.0.1:0"]);
  t.teardown(() => running.child.kill("SIGKILL"));
  await running.said(/gRPC on/);
  running.child.kill("SIGHUP");
  await sleep(300);
  t.equal(running.child.exitCode, null);
  running.child.kill("SIGTERM");
  t.match(await running.ended, { code: 0, stderr: /there are no certificates to read again: gRPC is in plaintext/ });
});

t.test("a certificate that cannot be used is a failure to start", { skip }, async (t) => {
  const pems = new Pems(t);
  const { cert } = pems.make("server");
  const { key } = pems.make("other");
  const file = pems.write("sluice.yaml", `ports: [{ lif: 1, driver: memory }]\ngrpc: { cert: ${cert}, key: ${key} }\n`);
  const { code, stdout, stderr } = await new Running(["run", "-c", file]).ended;
  t.equal(code, 1);
  t.equal(stdout, "");
  t.match(stderr, /^sluice: the private key \S+other\.key \(grpc\.key\) does not belong to the certificate/m);
});

const python = (() => {
  try {
    execFileSync("/usr/bin/python3", ["-c", "import pty"], { stdio: "ignore" });
    return false;
  } catch {
    return "python3 is not installed";
  }
})();

t.test("when its terminal goes away it stops as by SIGTERM", { skip: python }, async (t) => {
  // A terminal of its own. Prints the address, closes the terminal when told to, prints what killed the device, negative.
  const script = `
import os, pty, re, sys
pid, master = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
text = b""
while not re.search(rb"gRPC on (\\S+),", text):
    text += os.read(master, 4096)
print(re.search(rb"gRPC on (\\S+),", text)[1].decode(), flush=True)
sys.stdin.readline()
os.close(master)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
  const main = new URL("../../src/cli/main.js", import.meta.url).pathname;
  const child = spawn("/usr/bin/python3", ["-c", script, process.execPath, main, "run", "--grpc", "127.0.0.1:0"]);
  t.teardown(() => child.kill("SIGKILL"));
  let said = "";
  child.stdout.on("data", (text) => {
    said += text;
  });
  await until(() => said.includes("\n"), 15_000);
  const table = new SessionTableClient(said.trim(), credentials.createInsecure());
  t.teardown(() => table.close());
  const follow = new Metadata();
  follow.set("sluice-follow", "1");
  const stream = table.getClosedSessions({ pageSize: 0, page: 0, startSession: 0n }, follow).on("error", () => {});
  const ended = new Promise((resolve) => stream.on("status", ({ code }) => resolve(code)));
  stream.resume();
  await new Promise((resolve) => stream.once("metadata", resolve));
  child.stdin.write("\n");
  t.equal(await ended, status.OK, "calls are ended");
  await until(() => said.endsWith("-1\n"), 15_000);
});
