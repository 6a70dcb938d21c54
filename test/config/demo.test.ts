import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { FileDriver } from "../../src/config/config.js";
import { EMBEDDED } from "../../src/config/defaults.js";
import { load } from "../../src/config/load.js";
import { FRAME_LIMIT } from "../../src/memory/frames.js";
import { FilePort } from "../../src/port/file.js";
import { noTshark, Rig } from "../port/rig.js";

const DEMO = "pcaps/demo.pcap";

t.test("the script makes the demo capture that stands there, below 100 KB", (t) => {
  const made = join(t.testdir(), "demo.pcap");
  execFileSync(process.execPath, ["pcaps/make-demo.mjs", made]);
  t.ok(readFileSync(made).equals(readFileSync(DEMO)));
  t.ok(statSync(DEMO).size < 100_000);
  t.end();
});

t.test("tshark finds every checksum good and nothing malformed", { skip: noTshark }, (t) => {
  const checks = ["ip", "tcp", "udp"].flatMap((name) => ["-o", `${name}.check_checksum:TRUE`]);
  const fields = [
    "frame.number",
    "ip.checksum.status",
    "tcp.checksum.status",
    "udp.checksum.status",
    "icmp.checksum.status",
    "_ws.expert.message",
  ];
  const out = execFileSync("tshark", ["-r", DEMO, ...checks, "-T", "fields", ...fields.flatMap((name) => ["-e", name])], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const lines = out.split("\n").filter(Boolean);
  t.equal(lines.length, 1198);
  t.same(
    lines.filter((line) => !/^\d+\t1?\t1?\t1?\t1?\t$/.test(line)),
    [],
  );
  t.end();
});

t.test("the ports of the embedded default share all frames of the demo out", (t) => {
  const rig = new Rig();
  const { ports } = load({}, EMBEDDED, { maxFrame: FRAME_LIMIT });
  const frames = ports.map(({ name, driver }) => {
    t.match(driver, { driver: "file", loop: true, realtime: true });
    const port = new FilePort({
      index: 0,
      driver: { ...(driver as FileDriver), loop: false, realtime: false },
      worker: 0,
      maxFrame: 9216,
      counters: rig.counters,
      tell: rig.tell,
    });
    return [name, rig.drain(port).length];
  });
  t.same(Object.fromEntries(frames), { 1: 664, host1: 10, 2: 514, host2: 10 });
  t.end();
});
