// A Node client in a process of its own, without our generated code (node-client.ts), against `sluice run`.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { PROTO, sluiceRun, verdicts } from "./rig.js";

t.test("grpc-js and proto-loader on the published proto files", async (t) => {
  const ports = [1, 2].map((lif) => `  - { lif: ${lif}, driver: memory }\n`).join("");
  const { target } = await sluiceRun(t, `ports:\n${ports}workers: 1\nsessions: { capacity: 256 }\n`);
  const script = fileURLToPath(new URL("node-client.js", import.meta.url));
  const client = spawn(process.execPath, [script, target, join(PROTO, "openoffload.proto")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await verdicts(t, client);
});
