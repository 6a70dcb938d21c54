// `sluice replay` as a user types it: what it prints, where, and with which exit code.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { sluice } from "../cli/command.js";
import { noScapy, scapyRead, writePcap } from "../port/rig.js";
import { balanced, PCAPS, type Report, records } from "../replay/run.js";
import { capture } from "../replay/traffic.js";

const CASE = join(PCAPS, "forward-ipv4");
const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const inputs = ["--in", `1=${join(CASE, "in-1.pcap")}`, "--in", `2=${join(CASE, "in-2.pcap")}`];
const program = ["--program", join(CASE, "program.yaml")];

t.test("prints tables, writes captures and report.json, and ends with exit code 0", async (t) => {
  const out = join(t.testdir({}), "new", "out");
  const { code, stdout, stderr } = await sluice("replay", ...inputs, ...program, "--out", out);
  t.equal(code, 0);
  t.equal(stderr, "", "and shows no progress where no terminal is");
  t.match(stdout, /^port +role +in +in bytes +sent +sent bytes\n1 +uplink +/);
  t.match(stdout, /\n +7 +out +forwarded +/);
  t.match(stdout, /\n10 packets in, 7 offloaded, 3 to host, 0 dropped; 2 sessions alive, 0 closed\n/);
  t.same(readdirSync(out).sort(), ["1.pcap", "2.pcap", "host1.pcap", "host2.pcap", "report.json"]);
  t.same(records(t, out), records(t, join(CASE, "expected")));
  balanced(t, JSON.parse(readFileSync(join(out, "report.json"), "utf8")) as Report);
});

t.test("--json prints the report and nothing else, the same as report.json", async (t) => {
  const out = t.testdir({});
  const { code, stdout, stderr } = await sluice("replay", ...inputs, ...program, "--out", out, "--json");
  t.equal(code, 0);
  t.equal(stderr, "");
  t.equal(stdout, readFileSync(join(out, "report.json"), "utf8"));
  t.match(JSON.parse(stdout), { totals: { in: 10, offloaded: 7 } });
});

t.test(
  "IVs differ from replay to replay, for they must not repeat under a key; with --seed they are the same (RFC 4106 3.1)",
  async (t) => {
    const directory = t.testdir({});
    const file = join(directory, "program.yaml");
    writeFileSync(
      file,
      `tunnels:
  - { tunnel_id: 1, next_action: FORWARD, match_criteria: { ingress_interface: "1" },
      ipsec_tunnel: { ipsec_enc: { tunnel_type: TUNNEL, encryption_type: AES128GCM128,
        ipsec_sa: { spi: 4096, encryption_key: "000102030405060708090a0b0c0d0e0fcafebabe" },
        ipv4_tunnel: { source_ip: 192.0.2.1, destination_ip: 192.0.2.2 } } } }
`,
    );
    const sealed = async (...more: string[]) => {
      const out = join(directory, "out");
      const { code, stderr } = await sluice("replay", ...inputs, "--program", file, "--out", out, ...more);
      t.same([code, stderr], [0, ""]);
      const frame = readFileSync(join(out, "2.pcap")).subarray(24 + 16);
      return {
        sequence: frame.subarray(14 + 20 + 4, 14 + 20 + 8).toString("hex"),
        iv: frame.subarray(14 + 20 + 8, 14 + 20 + 16).toString("hex"),
      };
    };
    const [one, other] = [await sealed(), await sealed()];
    t.same([one.sequence, other.sequence], ["00000001", "00000001"]);
    t.not(one.iv, other.iv);
    t.same(await sealed("--seed", "1"), await sealed("--seed", "1"));
    t.not((await sealed("--seed", "1")).iv, one.iv);
  },
);

t.test("what an earlier replay left is replaced, what is another's stays", async (t) => {
  const out = t.testdir({
    "host2.pcap": "old",
    "1.pcap.worker1": "old",
    "report.json": "old",
    "notes.txt": "mine",
    "9.pcap": "mine",
  });
  const { code } = await sluice("replay", "--in", `1=${join(CASE, "in-1.pcap")}`, "--out", out);
  t.equal(code, 0);
  t.same(readdirSync(out).sort(), ["9.pcap", "host1.pcap", "notes.txt", "report.json"]);
  t.match(JSON.parse(readFileSync(join(out, "report.json"), "utf8")), { totals: { in: 6 } });
  // A replay that fails leaves no report of another.
  t.match(await sluice("replay", "--in", `1=${join(out, "none.pcap")}`, "--out", out), { code: 1 });
  t.notOk(existsSync(join(out, "report.json")));
});

t.test("an input is never overwritten", async (t) => {
  const out = t.testdir({ "host1.pcap": readFileSync(join(CASE, "in-1.pcap")) });
  const file = join(out, "host1.pcap");
  const { code, stderr } = await sluice("replay", "--in", `1=${file}`, "--out", out);
  t.equal(code, 1);
  t.match(stderr, /^sluice: --out .*: the replay would overwrite its input .*host1\.pcap; give another directory\n$/);
  t.equal(statSync(file).size, statSync(join(CASE, "in-1.pcap")).size);
});

t.test("mistakes are named in one message on stderr, with exit code 1 and nothing on stdout", async (t) => {
  const directory = t.testdir({
    "program.yaml":
      "sessions:\n  - { session_id: 1, in_lif: 1, source_ip: 10.0.0.1, destination_ip: x, protocol_id: TCP, action: {} }\n",
    "twice.yaml":
      readFileSync(join(CASE, "program.yaml"), "utf8") +
      readFileSync(join(CASE, "program.yaml"), "utf8").replace(/^[\s\S]*?sessions:\n/, ""),
    "lif.yaml": readFileSync(join(CASE, "program.yaml"), "utf8").replace("in_lif: 1", "in_lif: 5"),
    "device.yaml": "ports: [{ lif: 1, driver: memory }]\nspeed: 9\n",
    file: "",
    taken: { "report.json": {} },
  });
  const at = (name: string) => join(directory, name);
  const out = ["--out", at("out")];
  const wrong: [string[], RegExp][] = [
    [["--in", `9=${CASE}/in-1.pcap`, ...out], /^sluice: --in 9=.*: there is no port 9; there are 1, host1, 2, host2\n$/],
    [["--in", "in-1.pcap", ...out], /^sluice: --in in-1\.pcap: expected PORT=FILE, as in 1=a\.pcap/],
    [[...inputs, ...inputs, ...out], /^sluice: --in 1=.*: port 1 has a capture already/],
    [["--in", `1=${at("none.pcap")}`, ...out], /^sluice: opening the capture .*none\.pcap failed: .*No such file/],
    [[...inputs, ...out, "--program", at("none.yaml")], /^sluice: reading the program file .*none\.yaml failed: .*no such file/],
    [[...inputs, ...out, "--program", at("program.yaml")], /program\.yaml:2: sessions\[0\]\.destination_ip: found "x"/],
    [
      [...inputs, ...out, "--program", at("twice.yaml")],
      /^sluice: the program does not fit this device:\n {2}line 7, sessions\[2\]: its session_id or one of its two flows is taken.*\n {2}line 9, sessions\[3\]: .*\n$/,
    ],
    [[...inputs, ...out, "--program", at("lif.yaml")], /line 3, sessions\[0\]: in_lif 5 is not configured; there are 1, 2\n$/],
    [[...inputs, ...out, "-c", at("device.yaml")], /^sluice: configuration: .*device\.yaml:2:\d+: speed: unknown key/],
    [
      [...inputs, "--out", at("file")],
      /^sluice: preparing the output directory .*file failed: .*EEXIST.*; give one that may be written\n$/,
    ],
    [[...inputs, "--out", join(at("file"), "x")], /^sluice: preparing the output directory .*x failed: .*ENOTDIR/],
    [[...inputs, "--out", at("taken")], /^sluice: preparing the output directory .*taken failed: /],
  ];
  for (const [args, message] of wrong) {
    const { code, stdout, stderr } = await sluice("replay", ...args);
    t.equal(code, 1, args.join(" "));
    t.match(stderr, message, args.join(" "));
    t.equal(stdout, "");
    t.notMatch(stderr, /^ {4}at |fault of sluice/m, "no stack, no blame");
  }
  t.notOk(existsSync(join(at("out"), "report.json")));
});

t.test(
  "a capture that is cut short: everything before the cut is there, it is said, and the exit code is 1",
  { skip: noScapy },
  async (t) => {
    const whole = readFileSync(join(PCAPS, "demo.pcap"));
    const out = t.testdir({ "cut.pcap": whole.subarray(0, 3000) });
    for (const workers of ["1", "2"]) {
      const { code, stdout, stderr } = await sluice(
        "replay",
        "--in",
        `2=${join(out, "cut.pcap")}`,
        "--out",
        out,
        "--json",
        "--workers",
        workers,
      );
      t.equal(code, 1);
      t.match(
        stderr,
        /^sluice: reading the capture .*cut\.pcap failed after record \d+: truncated .*; what came before is used\n$/,
      );
      const there = Number(/record (\d+)/.exec(stderr)?.[1]);
      t.match(JSON.parse(stdout), { totals: { in: there, to_host: there } });
      const [sent, all] = [scapyRead(join(out, "host2.pcap")), scapyRead(join(PCAPS, "demo.pcap"))];
      t.equal(sent.length, there);
      t.same(new Set(sent.map(({ hex }) => hex)), new Set(all.slice(0, there).map(({ hex }) => hex)));
      if (workers === "1") t.same(sent, all.slice(0, there));
    }
  },
);

t.test("an output that takes no more: it is said, and the exit code is 1", (t) => {
  const out = t.testdir({});
  // Files of 16 blocks of 1,024 bytes at the most; the demonstration has 90 KB.
  // Not under the hooks that the test runner puts into NODE_OPTIONS: they let SIGXFSZ kill the process, which node ignores.
  const script = 'ulimit -f 16; exec env -u NODE_OPTIONS "$0" "$1" replay --in "1=$2" --out "$3"';
  const args = ["-c", script, process.execPath, MAIN, join(PCAPS, "demo.pcap"), out];
  const { status, stderr } = spawnSync("bash", args, { encoding: "utf8" });
  t.equal(status, 1);
  t.match(stderr, /^sluice: writing the capture .*host1\.pcap failed: .*File too large; it ends here\n$/);
  t.end();
});

t.test("several pairs of uplinks, a pair without host ports, named ports and VLANs, from a configuration", async (t) => {
  const directory = t.testdir({
    "device.yaml": `ports:
  - { lif: 1, driver: memory, host: { driver: memory } }
  - { lif: 2, driver: memory, host: { driver: memory } }
  - { lif: 3, driver: memory }
  - { lif: 4, driver: memory }
  - { lif: 7, driver: memory }
  - { name: probe-a, driver: memory }
workers: 2
maxFrame: 1000
`,
    "3.pcap": capture([
      { ms: 0, flow: 1 },
      { ms: 1, flow: 2, payload: 2000 },
    ]),
    "host2.pcap": capture([{ ms: 0, flow: 1 }]),
    "7.pcap": capture([{ ms: 5, flow: 3 }]),
    "probe.pcap": capture([{ ms: 5, flow: 3 }]),
    "empty.pcap": writePcap([]),
  });
  const at = (name: string) => join(directory, name);
  const out = at("out");
  const { code, stdout } = await sluice(
    ...["replay", "-c", at("device.yaml"), "--out", out, "--json"],
    ...["--in", `3=${at("3.pcap")}`, "--in", `host2=${at("host2.pcap")}`, "--in", `7=${at("7.pcap")}`],
    ...["--in", `probe-a=${at("probe.pcap")}`, "--in", `1=${at("empty.pcap")}`],
  );
  t.equal(code, 0);
  const report = JSON.parse(stdout) as Report;
  balanced(t, report);
  t.same(
    report.ports.map(({ name, rx_packets, tx_packets }) => [name, rx_packets, tx_packets]),
    [
      ["1", 0, 0],
      ["host1", 0, 0],
      ["2", 0, 1],
      ["host2", 1, 0],
      ["3", 2, 0],
      ["4", 0, 1],
      ["7", 1, 0],
      ["probe-a", 1, 0],
    ],
  );
  t.same(
    report.reasons.map(({ name, packets }) => [name, packets]),
    [
      ["from-host", 1],
      ["no-session", 1],
      ["no-peer", 1],
      ["collector-rx", 1],
      ["oversize", 1],
    ],
  );
  t.same(readdirSync(out).sort(), ["2.pcap", "4.pcap", "report.json"]);
});

t.test("an input may be a pipe", (t) => {
  const out = t.testdir({});
  writeFileSync(join(out, "a.pcap"), capture([{ ms: 0, flow: 1 }]));
  const script = `"$0" "$1" replay --in 1=<(cat "$2/a.pcap") --out "$2/out" --json`;
  const { status, stdout } = spawnSync("bash", ["-c", script, process.execPath, MAIN, out], { encoding: "utf8" });
  t.equal(status, 0);
  t.match(JSON.parse(stdout), { totals: { in: 1, to_host: 1 } });
  t.end();
});
