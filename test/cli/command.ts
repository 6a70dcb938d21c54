// The sluice command as a child process.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Running {
  readonly ended: Promise<Ended>;
  readonly child: ChildProcess;
  #stdout = "";
  #stderr = "";

  /** @param env beside this process's own, without what npm and tap add */
  constructor(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const { npm_lifecycle_event: _, NODE_OPTIONS: __, ...own } = process.env;
    const child = spawn(process.execPath, [MAIN, ...args], { env: { ...own, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.child = child;
    this.ended = new Promise((resolve) => {
      child.once("close", (code, signal) => resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr }));
    });
  }

  /** Waits until stdout holds this. */
  said(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#holds(() => this.#stdout, pattern);
  }

  /** Waits until stderr does. */
  complained(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#holds(() => this.#stderr, pattern);
  }

  async #holds(output: () => string, pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(output());
      if (match !== null) return match;
      if (this.child.exitCode !== null) throw new Error(`ended without saying ${pattern}: ${this.#stdout}${this.#stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Runs a command to its end. */
export function sluice(...args: string[]): Promise<Ended> {
  return new Running(args).ended;
}

/** The demonstration's device on a port of its own, or on this one; ended when the test is over. */
export async function device(
  t: { teardown(end: () => void): unknown },
  env: NodeJS.ProcessEnv = {},
  listen = "127.0.0.1:0",
): Promise<{ running: Running; target: string }> {
  const running = new Running(["run", "--grpc", listen], env);
  t.teardown(() => running.child.kill("SIGKILL"));
  const target = (await running.said(/gRPC on (\S+),/))[1] ?? "";
  return { running, target };
}

/** `sluice session add` of a flow with this id (0: assigned), to the device at `target`. */
export function addSession(target: string, id: number, ...more: string[]): Promise<Ended> {
  const flow = ["--in", "1", "--source", `10.0.0.9:${id + 1}`, "--destination", "10.1.0.1:80", "--protocol", "tcp"];
  const chosen = id === 0 ? [] : ["--id", `${id}`];
  return sluice("session", "add", "--target", target, ...chosen, ...flow, "--action", "forward", ...more);
}
