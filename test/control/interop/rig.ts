// Client processes of the interop tests, and the devices that they talk to: `sluice run` as a process of its own.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Test } from "tap";
import { Running } from "../../cli/command.js";
import { noPython, PYTHON } from "../no-python.js";

/** Tests run from the project's root. */
const SCRIPTS = resolve("test/control/interop");
export const PROTO = resolve("proto");

export { noPython };

/** This process's files; they go with it. */
const directory = mkdtempSync(join(tmpdir(), "sluice-interop-"));
process.once("exit", () => rmSync(directory, { recursive: true, force: true }));

let generated: string | undefined;

/** Messages that protoc makes of the published contract. */
function messages(): string {
  if (generated === undefined) {
    execFileSync("protoc", ["-I", PROTO, `--python_out=${directory}`, "openoffload.proto", "sluice.proto"]);
    generated = directory;
  }
  return generated;
}

export function python(script: string, target: string, ...args: string[]): ChildProcess {
  return spawn(PYTHON, ["-B", join(SCRIPTS, script), target, messages(), ...args], { stdio: ["pipe", "pipe", "inherit"] });
}

/** The next line that a client prints. */
export function line(client: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines = createInterface(client.stdout as NodeJS.ReadableStream);
    lines.once("line", (text) => resolve(text));
    lines.once("close", () => reject(new Error("the client ended without a line")));
  });
}

interface Verdict {
  readonly name: string;
  readonly ok: boolean;
  readonly why: string;
}

/** A test for each scenario whose verdict a client prints. */
export async function verdicts(t: Test, client: ChildProcess): Promise<void> {
  t.teardown(() => client.kill("SIGKILL"));
  const ended = new Promise<number | null>((resolve) => client.once("close", (code) => resolve(code)));
  let count = 0;
  for await (const text of createInterface(client.stdout as NodeJS.ReadableStream)) {
    const { name, ok, why } = JSON.parse(text) as Verdict;
    count++;
    await t.test(name, async (t) => {
      t.ok(ok, why || "as api.md says");
    });
  }
  t.equal(await ended, 0, "the client ran to its end");
  t.ok(count > 0, "it had scenarios");
}

/** `sluice run` with this configuration, on a port of its own; ended when the test is over. */
export async function sluiceRun(t: Test, yaml: string): Promise<{ readonly running: Running; readonly target: string }> {
  const file = join(mkdtempSync(join(directory, "device-")), "sluice.yaml");
  writeFileSync(file, yaml);
  const running = new Running(["run", "-c", file, "--grpc", "127.0.0.1:0"]);
  t.teardown(() => running.child.kill("SIGKILL"));
  const [, target = ""] = await running.said(/gRPC on (\S+),/);
  return { running, target };
}
