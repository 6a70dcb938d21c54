// CreateIpTunnel and CreateVxlanTunnel: a stream of requests, carried out in order (api.md 8, 12, 13). Up to 64 are a batch:
// collected first and carried out when the client closes its side, so that a stream that breaks leaves nothing behind and a
// table that is too full takes none. Longer streams are carried out as they come, 64 requests at a time.

import type { handleClientStreamingCall, ServerReadableStream } from "@grpc/grpc-js";
import type { BaseLogger } from "pino";
import { FailureLog } from "./failure-log.js";
import { toStatus } from "./handler.js";
import { wipeKeys } from "./ipsec-key.js";
import { gone, whenWhole } from "./stream-end.js";
import type { TunnelRequest } from "./tunnel-rule.js";
import { TunnelAnswer } from "./tunnel-status.js";
import { BATCH, type TunnelWriter } from "./tunnel-writer.js";

/** Answers with an encoded CreateIpTunnelResponses. */
export function createTunnels<Request extends TunnelRequest>(
  method: string,
  writer: TunnelWriter,
  log: Pick<BaseLogger, "info" | "error">,
): handleClientStreamingCall<Request, Buffer> {
  const failures = new FailureLog(log, `requests of ${method} were not carried out`);
  return (call, callback) => {
    const creation = new Creation(writer, call);
    let over = false;
    const fail = (cause: unknown): void => {
      if (over) return;
      over = true;
      callback(toStatus(cause, method, log));
    };
    call.on("data", (request: Request) => creation.add(request).catch(fail));
    call.on("end", () =>
      whenWhole(call, creation.pending, () => {
        creation
          .finish()
          .then((answer) => {
            if (over || answer === undefined) return;
            over = true;
            failures.write(answer.failures, answer.first);
            callback(null, answer.response(!writer.ready));
          })
          .catch(fail);
      }),
    );
    call.on("error", () => {
      over = true;
    });
    // Comes after every call.
    call.on("cancelled", () => creation.drop());
  };
}

class Creation {
  #batch: TunnelRequest[] = [];
  /** The call is over: nothing more is taken. */
  #over = false;
  /** More than a batch. */
  #long = false;
  readonly #answer = new TunnelAnswer();
  #work: Promise<void> = Promise.resolve();

  constructor(
    private readonly writer: TunnelWriter,
    private readonly call: ServerReadableStream<TunnelRequest, Buffer>,
  ) {}

  get pending(): boolean {
    return this.#batch.length > 0;
  }

  async add(request: TunnelRequest): Promise<void> {
    if (this.#over) {
      wipeKeys(request);
      return;
    }
    if (this.#batch.length === BATCH) {
      this.#long = true;
      this.call.pause();
      this.#write();
    }
    this.#batch.push(request);
    if (!this.call.isPaused()) return;
    await this.#work;
    this.call.resume();
  }

  /** The stream is complete. Undefined: and its client gone. */
  async finish(): Promise<TunnelAnswer | undefined> {
    this.#write();
    await this.#work;
    return gone(this.call) ? undefined : this.#answer;
  }

  /** What was not carried out will not be: no key of it stays in memory. */
  drop(): void {
    this.#over = true;
    this.#batch.forEach(wipeKeys);
    this.#batch = [];
  }

  #write(): void {
    const batch = this.#batch;
    this.#batch = [];
    this.#work = this.#work.then(async () => {
      for (const outcome of await this.writer.write(batch, !this.#long, () => gone(this.call))) this.#answer.add(outcome);
    });
  }
}
