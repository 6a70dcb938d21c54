// `sluice session list` and `watch`, each in a process of its own against the device of the demonstration, over TCP.

import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { addSession, device, Running, sluice } from "../command.js";

const MAIN = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));
const directory = t.testdir({});

interface Listed {
  readonly session_id: number;
  readonly in_packets: number;
}

function flow(id: number): string {
  const ends = `source_ip: 10.2.${id >> 8}.${id & 255}, source_port: 9, destination_ip: 10.1.0.1, destination_port: 80`;
  return `  - { session_id: ${id}, in_lif: 1, ${ends}, protocol_id: TCP, action: { action_type: FORWARD }, cache_timeout: 60 }\n`;
}

/** A device with the demonstration's flow as session 1, and idle sessions up to `count`. */
async function filled(t: { teardown(end: () => void): unknown }, count: number): Promise<string> {
  const { target } = await device(t);
  const busy = ["--in", "1", "--source", "10.0.0.1:40000", "--destination", "10.1.0.1:80", "--protocol", "tcp"];
  await sluice("session", "add", "--target", target, "--id", "1", ...busy, "--action", "forward");
  const file = join(directory, `${count}.yaml`);
  writeFileSync(file, `sessions:\n${Array.from({ length: count - 1 }, (_, i) => flow(i + 2)).join("")}`);
  await sluice("program", file, "--target", target);
  return target;
}

t.test("sessions are chosen and ordered by what the API tells of them", async (t) => {
  const target = await filled(t, 9);
  const ids = async (...args: string[]): Promise<number[]> => {
    const { stdout } = await sluice("session", "list", "--target", target, "--json", ...args);
    return (JSON.parse(stdout) as Listed[]).map(({ session_id }) => session_id);
  };
  t.same(await ids("--ids", "3-5"), [3, 4, 5]);
  t.same(await ids("--limit", "2"), [1, 2]);
  t.same(await ids("--unused", "--limit", "2"), [2, 3]);
  t.same(await ids("--min-packets", "1"), [1]);
  t.same(await ids("--min-bytes", "60"), [1]);
  t.same(await ids("--sort", "packets", "--limit", "1"), [1]);
  t.same(await ids("--state", "established", "--ids", "8-99"), [8, 9]);
  t.same(await ids("--state", "closing-1"), []);
  t.same(await ids("--older-than", "3600"), []);
  t.same((await ids("--younger-than", "3600")).length, 9);
  t.equal((await sluice("session", "list", "--target", target, "--state", "closed")).stdout, "no sessions\n");
});

t.test("wrong values of the options say what is expected, with exit code 2", async (t) => {
  const wrong: [string[], RegExp][] = [
    [["list", "--ids", "9-3"], /'--ids <from-to>' argument '9-3' is invalid\. Expected two session ids/],
    [["list", "--ids", "7"], /Expected two session ids/],
    [["list", "--state", "open"], /Allowed choices are established, closing-1, closing-2, closed/],
    [["list", "--sort", "name"], /Allowed choices are packets, bytes, start/],
    [["list", "--limit", "0"], /Expected a whole number of at least 1/],
    [["watch", "--interval", "0"], /Expected seconds from 0\.1 to 3600/],
    [["watch", "seven"], /^sluice: seven is not a session id/],
    [["list", "--target", "here"], /^sluice: --target here: expected host:port/],
  ];
  for (const [args, expected] of wrong) t.match(await sluice("session", ...args), { code: 2, stdout: "", stderr: expected });
});

t.test("a reader that goes away ends a long list without a word", async (t) => {
  const target = await filled(t, 5000);
  for (const json of [[], ["--json"]]) {
    const child = spawn(process.execPath, [MAIN, "session", "list", "--target", target, ...json]);
    let stderr = "";
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    child.stdout.once("data", () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.once("close", resolve));
    t.equal(code, 0);
    t.equal(stderr, "");
  }
});

t.test("watch shows the rates of the busiest first, and how many more there are", async (t) => {
  const target = await filled(t, 9);
  const { code, stdout, stderr } = await sluice(
    "session",
    "watch",
    "--target",
    target,
    "--interval",
    "0.5",
    "--count",
    "2",
    "--limit",
    "2",
  );
  t.equal(code, 0);
  t.equal(stderr, "");
  const blocks = stdout.trimEnd().split("\n\n");
  t.equal(blocks.length, 2);
  for (const block of blocks) {
    const lines = block.split("\n");
    t.match(lines[0], /^\d{4}-\S+Z {2}9 sessions, \d{2,3} packets\/s, [\d,]+ bits\/s$/);
    t.match(
      lines[1],
      /^session +state +in packets\/s +in bits\/s +out packets\/s +out bits\/s +in packets +in bytes +out packets/,
    );
    t.match(lines[2], /^1 +established +[3-7]\d +[1-4]\d,\d{3} +[3-7]\d +[1-4]\d,\d{3} +[\d,]+ +[\d,]+ +[\d,]+ +[\d,]+$/);
    t.match(lines[3], /^2 +established +0 +0 +0 +0 +0 +0 +0 +0$/);
    t.equal(lines[4], "and 7 more");
    t.equal(lines.length, 5);
  }
});

t.test("watch of named sessions, as JSON: those that go are told, those that come appear", async (t) => {
  const target = await filled(t, 3);
  const watch = new Running(["session", "watch", "1", "3", "77", "--target", target, "--interval", "0.5", "--json"]);
  t.teardown(() => watch.child.kill("SIGKILL"));
  await watch.said(/"missing":\[77\]/);
  await sluice("session", "delete", "3", "--target", target);
  await watch.said(/"missing":\[3,77\]/);
  await addSession(target, 77);
  await watch.said(/"missing":\[3\]/);
  watch.child.kill("SIGINT");
  const { code, stdout, stderr } = await watch.ended;
  t.equal(code, 0);
  t.equal(stderr, "");
  const rounds = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  t.match(rounds[0].sessions[0], { session_id: 1, session_state: "_ESTABLISHED" });
  // 62-byte frames of the demonstration, 50 packets/s each way.
  const { in_packets_per_second: packets, in_bits_per_second: bits } = rounds[0].sessions[0];
  t.ok(packets > 25 && packets < 100, `${packets} packets/s`);
  t.ok(Math.abs(bits - packets * 62 * 8) <= 62 * 8, `${bits} bits/s`);
  t.same(
    rounds.at(-1).sessions.map(({ session_id }: Listed) => session_id),
    [1, 77],
  );
});

const noScript = spawnSync("script", ["--version"]).status === 0 ? false : "there is no `script` to make a terminal";

t.test("on a terminal, watch draws over what it drew, in no more lines than fit", { skip: noScript }, async (t) => {
  const target = await filled(t, 30);
  const watch = `${process.execPath} ${MAIN} session watch --target ${target} --interval 0.2 --count 3`;
  const child = spawn("script", ["-qec", `stty rows 10 cols 60; ${watch}`, "/dev/null"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let seen = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    seen += text;
  });
  t.equal(await new Promise((resolve) => child.once("close", resolve)), 0);
  const blocks = seen.split("\x1b[8A\r\x1b[J");
  t.equal(blocks.length, 3, "up by the lines that were drawn, twice");
  for (const block of blocks) {
    const lines = block.trimEnd().split("\r\n");
    t.equal(lines.length, 8, "title, columns, 5 sessions, how many more");
    t.ok(
      lines.every((line) => line.length <= 60),
      "none wraps",
    );
    t.match(lines[7], /^and 25 more$/);
  }
});

t.test("^C ends list and watch at once, with exit code 0 and no stack", async (t) => {
  const target = await filled(t, 5000);
  for (const args of [["list"], ["watch", "--interval", "60"]]) {
    // On a busy machine Node may not have begun with the command yet, and dies of the signal: later, then.
    for (const delay of [350, 1500, 6000]) {
      const running = new Running(["session", ...args, "--target", target]);
      setTimeout(() => running.child.kill("SIGINT"), delay);
      const ended = await running.ended;
      if (ended.signal === "SIGINT" && delay < 6000) continue;
      t.match(ended, { code: 0, signal: null, stderr: "" }, args.join(" "));
      break;
    }
  }
});
