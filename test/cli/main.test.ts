// What the command line understands, and how a failure looks. Nothing here starts a device.

import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import { sluice } from "./command.js";

const directory = t.testdir({});

/** A port on which nothing listens. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

t.test("--help lists the commands, with exit code 0", async (t) => {
  const { code, stdout, stderr } = await sluice("--help");
  t.equal(code, 0);
  t.equal(stderr, "");
  for (const command of ["run", "replay", "program", "session", "stats"]) t.match(stdout, new RegExp(`^ {2}${command} `, "m"));
});

t.test("--version is that of package.json", async (t) => {
  t.match(await sluice("--version"), { code: 0, stdout: /^\d+\.\d+\.\d+\n$/ });
});

t.test("a command line that is wrong ends with exit code 2 and one message on stderr", async (t) => {
  const wrong: [string[], RegExp][] = [
    [["fly"], /^sluice: unknown command 'fly'/],
    [["run", "--fast"], /^sluice: unknown option '--fast'/],
    [["run", "--workers", "two"], /^sluice: option '--workers <n>' argument 'two' is invalid/],
    [["replay", "--out", "x"], /^sluice: required option '--in <port=file>' not specified/],
    [["replay", "--in", "1=a.pcap"], /^sluice: required option '--out <directory>' not specified/],
    [["replay", "--in", "1=a.pcap", "--out", "x", "--seed", "-1"], /^sluice: .*'--seed <n>' argument '-1' is invalid/],
    [["program"], /^sluice: missing required argument 'file'/],
    [["session", "get", "abc"], /^sluice: abc is not a session id/],
    [["session", "get", "18446744073709551616"], /is not a session id/],
  ];
  for (const [args, message] of wrong) {
    const { code, stdout, stderr } = await sluice(...args);
    t.equal(code, 2, args.join(" "));
    t.match(stderr, message, args.join(" "));
    t.equal(stdout, "", args.join(" "));
    t.notMatch(stderr, /^ {4}at /m, "no stack");
  }
});

t.test("a configuration that is wrong ends with exit code 1 and all its problems on stderr", async (t) => {
  const file = join(directory, "sluice.yaml");
  writeFileSync(file, "ports: [{ lif: 1, driver: memory }]\nworkers: 0\nnat: {}\n");
  const { code, stdout, stderr } = await sluice("run", "-c", file);
  t.equal(code, 1);
  t.equal(stdout, "");
  t.match(stderr, /^sluice: configuration: 2 problems\n.*:2:10: workers: found 0.*\n.*:3:6: nat: not supported yet\n$/);
});

t.test("no device: every client command says so, with exit code 1", async (t) => {
  const target = `127.0.0.1:${await freePort()}`;
  const program = join(directory, "program.yaml");
  writeFileSync(
    program,
    `sessions:
  - { session_id: 1, in_lif: 1, source_ip: 10.0.0.1, source_port: 1, destination_ip: 10.1.0.1, destination_port: 80,
      protocol_id: TCP, action: { action_type: FORWARD } }
`,
  );
  for (const args of [
    ["session", "list"],
    ["session", "get", "1"],
    ["session", "delete", "1"],
    ["session", "closed"],
    ["session", "closed", "--follow"],
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
    ["stats"],
    ["program", program],
  ]) {
    const { code, stderr } = await sluice(...args, "--target", target);
    t.equal(code, 1, args.join(" "));
    t.match(stderr, new RegExp(`^sluice: no device answers at ${target}`), args.join(" "));
    t.notMatch(stderr, /^ {4}at /m, "no stack");
  }
});

t.test("--debug shows where a failure arose", async (t) => {
  const { code, stderr } = await sluice("session", "list", "--debug", "--target", `127.0.0.1:${await freePort()}`);
  t.equal(code, 1);
  t.match(stderr, /^ {4}at /m);
});

t.test("a program file that is not there, or not a program, is named", async (t) => {
  const file = join(directory, "bad.yaml");
  writeFileSync(file, "sessions:\n  - { source_ip: here }\n");
  t.match(await sluice("program", join(directory, "none.yaml")), {
    code: 1,
    stderr: /^sluice: reading the program file .*none\.yaml failed/,
  });
  t.match(await sluice("program", file), {
    code: 1,
    stderr: /^sluice: .*bad\.yaml:2: [\s\S]*bad\.yaml:2: sessions\[0\]\.source_ip: found "here"/,
  });
});
