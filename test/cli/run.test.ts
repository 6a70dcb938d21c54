// `sluice run` as the embedded default, and the client commands against it.

import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import { device, sluice } from "./command.js";

const directory = t.testdir({});

function flow(id: number, port: number): string {
  return `  - { session_id: ${id}, in_lif: 1, out_lif: 2, source_ip: 10.0.0.1, source_port: ${port}, destination_ip: 10.1.0.1,
      destination_port: 80, protocol_id: TCP, action: { action_type: FORWARD }, cache_timeout: 30 }\n`;
}

t.test("the demo's flow moves from the host to the fast path when its session is added, and back", async (t) => {
  const { running, target } = await device(t);
  await running.said(/^packets\/s in +1\d\d {3}offloaded +0 {3}to host +1\d\d {3}dropped +0$/m);

  const file = join(directory, "program.yaml");
  writeFileSync(file, `sessions:\n${flow(7, 40000)}`);
  t.match(await sluice("program", file, "--target", target), { code: 0, stdout: "1 of 1 sessions added\n", stderr: "" });
  await running.said(/^packets\/s in +1\d\d {3}offloaded +(9\d|10\d) {3}to host +\d\d {3}dropped +0$/m);

  const again = await sluice("program", file, "--target", target);
  t.equal(again.code, 1);
  t.equal(again.stdout, "0 of 1 sessions added\n");
  t.match(again.stderr, /program\.yaml:2: sessions\[0\] \(session_id 7\): _SESSION_ALREADY_EXISTS: /);

  const list = await sluice("session", "list", "--target", target);
  t.match(list.stdout, /^session {2}state {8}in packets {2}in bytes {2}out packets {2}out bytes {2}since\n7 {8}established {2}/);
  const listed = JSON.parse((await sluice("session", "list", "--json", "--target", target)).stdout);
  t.match(listed, [{ session_id: 7, session_state: "_ESTABLISHED", session_close_code: "_NOT_CLOSED" }]);
  t.ok(listed[0].in_packets > 0 && listed[0].out_packets > 0, "both directions count");

  const stats = JSON.parse((await sluice("stats", "--json", "--target", target)).stdout);
  t.match(stats.sessions, { capacity: 1048576, active: 1, added: 1 });
  t.match(
    stats.ports.map((port: { name: string; role: string }) => [port.name, port.role]),
    [
      ["1", "uplink"],
      ["host1", "host"],
      ["2", "uplink"],
      ["host2", "host"],
    ],
  );
  t.match(
    (await sluice("stats", "--target", target)).stdout,
    /^ports\nport .*\n(.*\n)+what became of the packets\n(.*\n)+sessions\n/,
  );

  const deleted = JSON.parse((await sluice("session", "delete", "7", "--json", "--target", target)).stdout);
  t.ok(deleted.in_packets >= listed[0].in_packets && deleted.end_time !== undefined, "final counters");
  t.match(await sluice("session", "delete", "7", "--target", target), {
    code: 1,
    stderr: /^sluice: the device has no session 7/,
  });
  t.match(JSON.parse((await sluice("session", "closed", "--json", "--target", target)).stdout), [
    { session_id: 7, in_packets: deleted.in_packets },
  ]);
  t.equal((await sluice("session", "closed", "--target", target)).stdout, "no sessions\n");
  t.equal((await sluice("session", "list", "--json", "--target", target)).stdout, "[]\n");
});

t.test("a list of thousands is written as one JSON array and as one aligned table", async (t) => {
  const { target } = await device(t);
  const file = join(directory, "many.yaml");
  const count = 2500;
  writeFileSync(file, `sessions:\n${Array.from({ length: count }, (_, i) => flow(i + 1, i + 1)).join("")}`);
  t.equal((await sluice("program", file, "--target", target)).stdout, `${count} of ${count} sessions added\n`);
  const listed = JSON.parse((await sluice("session", "list", "--json", "--target", target)).stdout);
  t.same(
    listed.map((session: { session_id: number }) => session.session_id),
    Array.from({ length: count }, (_, i) => i + 1),
  );
  const lines = (await sluice("session", "list", "--target", target)).stdout.trimEnd().split("\n");
  t.equal(lines.length, count + 1);
  t.equal(lines.filter((line) => line.startsWith("session")).length, 1, "titles once");
});

t.test("SIGTERM and SIGINT stop the device, with exit code 0", async (t) => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const { running } = await device(t);
    running.child.kill(signal);
    const { stderr, ...end } = await running.ended;
    t.match(end, { code: 0, signal: null }, signal);
    t.match(
      JSON.parse(stderr),
      { level: 30, msg: /^ESP is encrypted and decrypted by / },
      "it says what encrypts, and nothing else",
    );
  }
});

t.test("a second signal ends it at once, but not the echo of the first that npm sends", async (t) => {
  const { running } = await device(t);
  running.child.kill("SIGINT");
  running.child.kill("SIGTERM");
  const { code } = await running.ended;
  t.ok(code === 143 || code === 130, `second signal: ${code}`);

  const { running: underNpm } = await device(t, { npm_lifecycle_event: "start" });
  underNpm.child.kill("SIGINT");
  underNpm.child.kill("SIGTERM");
  t.match(await underNpm.ended, { code: 0 }, "under npm");
});

t.test("a port that is taken is a failure to start that says what to do", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  t.teardown(() => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const { code, stdout, stderr } = await sluice("run", "--grpc", `127.0.0.1:${port}`);
  t.equal(code, 1);
  t.equal(stdout, "");
  t.match(stderr, new RegExp(`^sluice: .*127\\.0\\.0\\.1:${port}.*another process listens there`, "m"));
});
