// A client of tunnels that shares no code with the server: Python's gRPC and protobuf, both by Google.

import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";
import { noPython, PYTHON } from "./no-python.js";
import { startTunnelDevice } from "./tunnel-device.js";

const root = new URL("../../../", import.meta.url);

t.test("a Python client makes tunnels of each kind and reads them back", { skip: noPython }, async (t) => {
  const device = await startTunnelDevice();
  const generated = mkdtempSync(join(tmpdir(), "sluice-python-"));
  t.teardown(async () => {
    rmSync(generated, { recursive: true });
    await device.stop();
  });
  const proto = new URL("proto", root).pathname;
  execFileSync("protoc", ["-I", proto, `--python_out=${generated}`, "tunneloffload.proto", "sluice_tunnel.proto"]);
  const script = new URL("test/control/tunnel_client.py", root).pathname;
  const { stdout } = await promisify(execFile)(PYTHON, [script, device.target, generated], { timeout: 30_000 });
  const lines: unknown[] = stdout
    .trim()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
  const assigned = 2147483647;
  t.match(lines, [
    { step: "create", status: 1, mask: 0b100, ids: [1, 2, 9], errors: [[9, 1, "there is no tunnel 9: _CREATE it first"]] },
    { step: "vxlan", status: 0, mask: 0, ids: [assigned], errors: [] },
    { step: "vxlan read back", same: true },
    { step: "options", ttl: 9, dscp: 64, udp_port: true },
    { step: "decap read back", same: true, counters: 0, error: false },
    { step: "encap read back", mac: "020000000001", c: true, words: 2, any_ipv6: true },
    { step: "list", pages: [[1, 2], [assigned]] },
    { step: "stats", pages: [3] },
    { step: "orphan", status: 0, error: 1, sentence: /^match_criteria.tunnel_id 1 was deleted/ },
    { step: "missing", error: "there is no tunnel 1" },
    { step: "capabilities", options: 63, modes: [0, 1, 2, 3], suites: 12 },
    { step: "ipsec", status: 0, mask: 0, ids: [20, 21, 21], errors: [] },
    { step: "encrypt read back", same: true },
    {
      step: "sas",
      sas: [
        [20, 1000, true, 2],
        [21, 2001, false, 9],
        [21, 2002, false, 9],
      ],
    },
  ]);
});
