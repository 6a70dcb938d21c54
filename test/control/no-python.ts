// Whether clients in Python can run: its gRPC and protobuf, and messages made by protoc.

import { execFileSync } from "node:child_process";

export const PYTHON = "/usr/bin/python3";

/** Why they are skipped, or false. */
export const noPython: string | false = missing();

function missing(): false | string {
  try {
    execFileSync(PYTHON, ["-c", "import grpc, google.protobuf"], { stdio: "ignore" });
  } catch {
    return "python3-grpcio and python3-protobuf are not installed";
  }
  try {
    execFileSync("protoc", ["--version"], { stdio: "ignore" });
  } catch {
    return "protoc is not installed";
  }
  return false;
}
