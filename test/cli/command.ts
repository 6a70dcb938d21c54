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
  async said(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#stdout);
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
