// Child processes of a control benchmark: servers (server.ts) and a load generator (load.ts).

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { LoadAnswer, LoadRequest, ServerAnswer, ServerRequest } from "./messages.js";

class Helper<Request extends object, Answer> {
  readonly #child: ChildProcess;

  /** `before`: a command that runs it, such as `ip netns exec`. */
  constructor(file: string, before: readonly string[] = []) {
    const [command, ...args] = [...before, process.execPath, ...process.execArgv, fileURLToPath(new URL(file, import.meta.url))];
    this.#child = spawn(command as string, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  }

  ask(request: Request): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null) => reject(new Error(`a helper of the benchmark ended with ${code}`));
      this.#child.once("exit", ended);
      this.#child.once("message", (answer) => {
        this.#child.off("exit", ended);
        const { failed } = answer as { failed?: string };
        if (failed === undefined) resolve(answer as Answer);
        else reject(new Error(failed));
      });
      this.#child.send(request);
    });
  }

  end(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return resolve();
      this.#child.once("exit", () => resolve());
      this.#child.disconnect();
    });
  }
}

export type ServerProcess = Helper<ServerRequest, ServerAnswer>;
export type LoadProcess = Helper<LoadRequest, LoadAnswer>;

export function startLoad(before: readonly string[] = []): LoadProcess {
  return new Helper("./load.js", before);
}

export interface Pair {
  readonly server: ServerProcess;
  /** Connected to that server. */
  readonly load: LoadProcess;
}

/** Runs `use` with a server and its load generator, which end with it. */
export async function withServer<T>(
  kind: "device" | "empty",
  capacity: number,
  use: (pair: Pair) => Promise<T>,
  backlog = 1_048_576,
): Promise<T> {
  const server: ServerProcess = new Helper("./server.js");
  const load = startLoad();
  try {
    const { port } = await server.ask({ do: "start", kind, capacity, backlog });
    await load.ask({ do: "connect", port: port as number });
    return await use({ server, load });
  } finally {
    await Promise.all([server.end(), load.end()]);
  }
}

/** Answers what the parent asks, one request after the other. */
export function serve<Request, Answer>(answer: (request: Request) => Promise<Answer>): void {
  process.on("message", (request) => {
    answer(request as Request).then(
      (done) => process.send?.(done),
      (cause: Error) => process.send?.({ failed: cause.stack ?? cause.message }),
    );
  });
  process.once("disconnect", () => process.exit(0));
}
