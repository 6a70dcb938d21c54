// A client that shares no code with the server: Python's gRPC and protobuf, both by Google.

import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";
import { range, startDevice } from "./device.js";

const PYTHON = "/usr/bin/python3";
const root = new URL("../../../", import.meta.url);

function missing(): false | string {
  try {
    execFileSync(PYTHON, ["-c", "import grpc, google.protobuf"], { stdio: "ignore" });
  } catch {
    return "python3-grpcio and python3-protobuf are not installed";
  }
  try {
    execFileSync("protoc", ["--version"]);
  } catch {
    return "protoc is not installed";
  }
  return false;
}

t.test("a Python client adds, gets, lists, deletes and fetches closed sessions", { skip: missing() }, async (t) => {
  const device = await startDevice();
  const generated = mkdtempSync(join(tmpdir(), "sluice-python-"));
  t.teardown(async () => {
    rmSync(generated, { recursive: true });
    await device.stop();
  });
  const proto = new URL("proto", root).pathname;
  execFileSync("protoc", ["-I", proto, `--python_out=${generated}`, "openoffload.proto"]);
  const script = new URL("test/control/client.py", root).pathname;
  const { stdout } = await promisify(execFile)(PYTHON, [script, device.target, generated], { timeout: 30_000 });
  const lines: unknown[] = stdout
    .trim()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
  t.same(lines, [
    { step: "add", status: 0, mask: 0, errors: [], started: true },
    {
      step: "mixed",
      status: 1,
      mask: 0b1110,
      errors: [
        [1, 4],
        [101, 1],
        [102, 1],
      ],
    },
    { step: "get", id: 1, status: 0, state: 0, ended: false },
    { step: "missing", status: 2 },
    { step: "list and delete", ids: [...range(1, 65), 100], key: 100 },
    { step: "closed", ids: range(1, 61) },
    { step: "follow", ids: [61, 62, 63, 64, 100] },
    { step: "deadline", code: "DEADLINE_EXCEEDED" },
    { step: "after", total: 0 },
  ]);
});
