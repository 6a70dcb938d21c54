// Server reflection of a running device, by a client that has no proto file but reflection's own.

import { execFile, execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";
import { Running } from "../cli/command.js";
import { noPython, PYTHON } from "./no-python.js";

const root = new URL("../../../", import.meta.url).pathname;

for (const version of ["v1", "v1alpha"]) {
  t.test(`a client lists, describes and calls everything by ${version}`, { skip: noPython }, async (t) => {
    const generated = mkdtempSync(join(tmpdir(), "sluice-reflection-"));
    const device = new Running(["run", "--grpc", "127.0.0.1:0"]);
    t.teardown(async () => {
      device.child.kill("SIGTERM");
      await device.ended;
      rmSync(generated, { recursive: true });
    });
    // By a name of its own: Python would look for a package `grpc.reflection` in the library `grpc`.
    const file = `grpc_reflection_${version}.proto`;
    const source = join(root, `node_modules/@grpc/reflection/build/proto/grpc/reflection/${version}/reflection.proto`);
    copyFileSync(source, join(generated, file));
    execFileSync("protoc", ["-I", generated, `--python_out=${generated}`, file]);
    const [, target] = await device.said(/gRPC on (\S+?),/);
    const script = join(root, "test/control/reflection.py");
    const { stdout } = await promisify(execFile)(PYTHON, [script, target, generated, version], { timeout: 30_000 });
    const lines = stdout
      .trim()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    const inFile = (symbol: string, name: string) => ({ step: "by symbol", symbol, name });
    t.same(lines, [
      {
        step: "services",
        names: [
          "grpc.health.v1.Health",
          "grpc.reflection.v1.ServerReflection",
          "grpc.reflection.v1alpha.ServerReflection",
          "openoffload.v2.SessionTable",
          "sluice.v1.Device",
          "sluice.v1.Tunnels",
          "tunneloffload.v2.IpTunnelService",
        ],
      },
      {
        step: "files",
        names: [
          "google/protobuf/timestamp.proto",
          "grpc/health/v1/health.proto",
          "grpc/reflection/v1/reflection.proto",
          "grpc/reflection/v1alpha/reflection.proto",
          "openoffload.proto",
          "sluice.proto",
          "sluice_tunnel.proto",
          "tunneloffload.proto",
        ],
        missing: [],
      },
      { step: "by name", names: ["google/protobuf/timestamp.proto"] },
      inFile("openoffload.v2.SessionRequest", "openoffload.proto"),
      inFile("openoffload.v2.SessionTable.AddSession", "openoffload.proto"),
      inFile("openoffload.v2.ActionType", "openoffload.proto"),
      inFile("tunneloffload.v2.MatchCriteria.GeneveMatch", "tunneloffload.proto"),
      inFile("sluice.v1.Device", "sluice.proto"),
      { step: "unknown", code: 5 },
      { step: "unknown", code: 5 },
      { step: "AddSession", kind: "stream_unary", status: 0, started: true },
      { step: "GetSession", kind: "unary_unary", id: 7, status: 0 },
      { step: "GetAllSessions", kind: "unary_unary", ids: [7] },
      { step: "DeleteSession", kind: "unary_unary", id: 7 },
      { step: "GetClosedSessions", kind: "unary_stream", ids: [7] },
      { step: "Stats", kind: "unary_unary", ports: 4 },
      { step: "Check", kind: "unary_unary", status: 1 },
    ]);
    device.child.kill("SIGTERM");
    t.notMatch((await device.ended).stderr, /"level":[456]0/, "the device has nothing to complain of");
  });
}
