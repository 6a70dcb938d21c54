// Calls into a process of our own in another namespace, over Node's IPC channel. The process ends with the channel.

import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Namespaces } from "./namespaces.js";

/** The methods of an object, as promises: what `serve` offers is typed by what it is given. */
export type Remote<M> = {
  readonly [K in keyof M]: M[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never;
};

interface Call {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

const CALL_MS = 60_000;
const READY = 0;

/** In the remote process: answers calls until the channel closes. */
export function serve(methods: object): void {
  const table = methods as Record<string, (...args: readonly unknown[]) => unknown>;
  const send = (answer: Answer) => process.connected && process.send?.(answer);
  process.on("message", async ({ id, name, args }: Call) => {
    try {
      send({ id, value: await table[name](...args) });
    } catch (error) {
      send({ id, error: error instanceof Error ? error.message : String(error) });
    }
  });
  process.on("disconnect", () => process.exit(0));
  send({ id: READY });
}

/** Starts `script` (beside this file) in a namespace; resolves when it serves. */
export async function startRemote<M>(
  net: Namespaces,
  part: string,
  script: string,
  args: readonly string[] = [],
  stderr: "inherit" | "pipe" = "inherit",
): Promise<{ readonly child: ChildProcess; readonly remote: Remote<M> }> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = net.spawn(part, [process.execPath, path, ...args], {
    stdio: ["ignore", "inherit", stderr, "ipc"],
    serialization: "advanced",
  });
  const waiting = new Map<number, (answer: Answer) => void>();
  const fail = (why: string) => {
    for (const [id, answer] of waiting) answer({ id, error: why });
  };
  child.on("message", (answer) => waiting.get((answer as Answer).id)?.(answer as Answer));
  child.once("exit", (code, signal) => fail(`${script} in ${part} ended with ${signal ?? code}`));
  let next = READY;
  const expect = (what: string) =>
    new Promise<unknown>((resolve, reject) => {
      const id = next++;
      const timer = setTimeout(() => reject(new Error(`${what} in ${part}: no answer for ${CALL_MS / 1000} s`)), CALL_MS);
      waiting.set(id, ({ value, error }) => {
        clearTimeout(timer);
        waiting.delete(id);
        if (error === undefined) resolve(value);
        else reject(new Error(`${what} in ${part}: ${error}`));
      });
    });
  const ready = expect(`starting ${script}`);
  const remote = new Proxy({} as Remote<M>, {
    // No `then`: the proxy itself is no promise.
    get: (_, name) =>
      typeof name === "symbol" || name === "then"
        ? undefined
        : (...args: readonly unknown[]) => {
            const answer = expect(name);
            if (child.connected) child.send({ id: next - 1, name, args } satisfies Call);
            else fail(`${script} has ended`);
            return answer;
          },
  });
  await ready;
  return { child, remote };
}
