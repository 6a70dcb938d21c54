// A client of a running device, for the command line. Its errors say what to check.

import { type ClientReadableStream, connectivityState, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { SluiceError } from "../errors.js";
import { ERROR_METADATA, ERROR_SEPARATOR } from "./add-session.js";
import { refusedConnection, type TlsFiles, tlsCredentials } from "./client-tls.js";
import {
  type AddSessionResponse,
  AddSessionStatus,
  RequestStatus,
  type SessionRequest,
  type SessionRequestArgs,
  type SessionResponse,
  type SessionResponses,
  SessionTableClient,
} from "./gen/openoffload.js";
import { DeviceClient, type StatsResponse } from "./gen/sluice.js";
import { type Done, TunnelCalls } from "./tunnel-client.js";

/** A request that the device did not take. */
export interface AddError {
  /** In the list that was sent. */
  readonly index: number;
  readonly status: AddSessionStatus;
  /** What is wrong with it. */
  readonly sentence: string;
}

const DEADLINE_MS = 10_000;
/** For TCP, TLS and the settings of HTTP/2 together: what accepts connections and stays silent does not hold us longer. */
const CONNECT_MS = 5_000;
/** Requests per stream: as many as the answer's bit mask names one by one. */
const BATCH = 64;
const PAGE = 4096;

const SENTENCES: Record<number, string> = {
  [AddSessionStatus._SESSION_REJECTED]: "the device finds it invalid",
  [AddSessionStatus._SESSION_TABLE_FULL]: "the session table is full",
  [AddSessionStatus._SESSION_TABLE_UNAVAILABLE]: "the device is starting, stopping, or has no worker: try again",
  [AddSessionStatus._SESSION_ALREADY_EXISTS]: "its session_id or one of its two flows is taken by another session",
};

const OPTIONS = {
  // The device is reached directly, whatever proxy the environment names.
  "grpc.enable_http_proxy": 0,
  // For the name see stream-end.ts.
  "grpc.primary_user_agent": "sluice",
  // A stream that waits for sessions to close sees that a device has gone without a word.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  // Between a device's end and its next start, calls fail at once; whoever calls again chooses the pace.
  "grpc.initial_reconnect_backoff_ms": 200,
  "grpc.max_reconnect_backoff_ms": 2_000,
};

export class SluiceClient {
  readonly #sessions: SessionTableClient;
  readonly #device: DeviceClient;
  readonly tunnels: TunnelCalls;

  /** `target`: "address:port". Without `tls`: plaintext. */
  constructor(
    private readonly target: string,
    private readonly tls?: TlsFiles,
  ) {
    const credential = tls === undefined ? credentials.createInsecure() : tlsCredentials(tls);
    this.#sessions = new SessionTableClient(target, credential, OPTIONS);
    const options = { channelOverride: this.#sessions.getChannel() };
    this.#device = new DeviceClient(target, credential, options);
    this.tunnels = new TunnelCalls({
      target,
      credential,
      options,
      deadline,
      connected: () => this.#connected(),
      explain: (cause) => this.#explain(cause),
      found: (start) => this.#found(start),
    });
  }

  close(): void {
    this.#sessions.close();
  }

  /** The requests that were not taken, in order. */
  async addSessions(requests: readonly SessionRequest[]): Promise<AddError[]> {
    const errors: AddError[] = [];
    for (let from = 0; from < requests.length; from += BATCH) {
      errors.push(...(await this.#addBatch(requests.slice(from, from + BATCH), from)));
    }
    return errors;
  }

  /** Undefined when the device has no such session; here and below. */
  getSession(id: bigint): Promise<SessionResponse | undefined> {
    return this.#one((done) => this.#sessions.getSession({ sessionId: id }, new Metadata(), deadline(), done));
  }

  /** With its final counters. */
  deleteSession(id: bigint): Promise<SessionResponse | undefined> {
    return this.#one((done) => this.#sessions.deleteSession({ sessionId: id }, new Metadata(), deadline(), done));
  }

  /** All sessions in creation order, or those that were created after the session `after`. */
  async *sessions(after = 0n): AsyncGenerator<SessionResponse> {
    for await (const page of this.pages(after)) yield* page;
  }

  /** The same, as they come. */
  async *pages(after = 0n): AsyncGenerator<SessionResponse[]> {
    for (let key = after; ; ) {
      const { sessionInfo, nextKey } = await this.#page({ pageSize: PAGE, page: 0, startSession: key });
      if (sessionInfo.length === 0) return;
      yield sessionInfo;
      key = nextKey;
    }
  }

  /** The id of the session that was created last; 0n without sessions. */
  async newest(): Promise<bigint> {
    // The last page by its number, so that a table of a million is not fetched; then what has come meanwhile.
    const active = Number((await this.stats()).sessions?.active ?? 0n);
    const near = active === 0 ? undefined : await this.#page({ pageSize: 1, page: active, startSession: 0n });
    let newest = near?.sessionInfo[0]?.sessionId ?? 0n;
    for await (const page of this.pages(newest)) newest = page.at(-1)?.sessionId ?? newest;
    return newest;
  }

  /**
   * Sessions that have closed and were not fetched before. `follow`: does not end, and yields them as they close;
   * `onFollowing`: the device has taken that call.
   */
  async *closedSessions(follow = false, onFollowing = () => {}): AsyncGenerator<SessionResponse> {
    const metadata = new Metadata();
    if (follow) {
      metadata.set("sluice-follow", "1");
    }
    await this.#connected();
    const args: SessionRequestArgs = { pageSize: 0, page: 0, startSession: 0n };
    const stream: ClientReadableStream<SessionResponse> = this.#sessions.getClosedSessions(args, metadata);
    stream.once("metadata", onFollowing);
    try {
      for await (const session of stream) {
        yield session as SessionResponse;
      }
    } catch (cause) {
      throw this.#explain(cause as ServiceError);
    } finally {
      stream.cancel();
    }
  }

  stats(): Promise<StatsResponse> {
    return this.#call((done: Done<StatsResponse>) => this.#device.stats({}, new Metadata(), deadline(), done));
  }

  #page(args: SessionRequestArgs): Promise<SessionResponses> {
    return this.#call((done: Done<SessionResponses>) => this.#sessions.getAllSessions(args, new Metadata(), deadline(), done));
  }

  async #addBatch(requests: readonly SessionRequest[], from: number): Promise<AddError[]> {
    await this.#connected();
    return new Promise((resolve, reject) => {
      const sentences = new Map<number, string>();
      let response: AddSessionResponse | undefined;
      const call = this.#sessions.addSession(new Metadata(), deadline(), (error, answer) => {
        if (error) {
          reject(this.#explain(error));
        } else {
          response = answer;
        }
      });
      // The sentences are in the trailer, which comes after the answer.
      call.on("status", ({ metadata, code }) => {
        for (const value of metadata.get(ERROR_METADATA)) {
          for (const line of String(value).split(ERROR_SEPARATOR)) {
            const [index, ...sentence] = line.split(": ");
            sentences.set(Number(index), sentence.join(": "));
          }
        }
        if (code === status.OK && response !== undefined) {
          resolve(toErrors(response, sentences, from));
        }
      });
      for (const request of requests) {
        call.write(request);
      }
      call.end();
    });
  }

  async #one(start: (done: Done<SessionResponse>) => void): Promise<SessionResponse | undefined> {
    const response = await this.#found(start);
    return response?.requestStatus === RequestStatus._REJECTED_SESSION_NONEXISTENT ? undefined : response;
  }

  async #found<T>(start: (done: Done<T>) => void): Promise<T | undefined> {
    try {
      return await this.#call(start);
    } catch (error) {
      if (error instanceof SluiceError && (error.cause as ServiceError | undefined)?.code === status.NOT_FOUND) {
        return undefined;
      }
      throw error;
    }
  }

  async #call<T>(start: (done: Done<T>) => void): Promise<T> {
    await this.#connected();
    return new Promise((resolve, reject) => {
      start((error, value) => (error ? reject(this.#explain(error)) : resolve(value)));
    });
  }

  /** Waits until there is a connection or why there is none is known: then the call that follows says it. */
  #connected(): Promise<void> {
    const channel = this.#sessions.getChannel();
    const end = Date.now() + CONNECT_MS;
    const known: readonly connectivityState[] = [
      connectivityState.READY,
      connectivityState.TRANSIENT_FAILURE,
      connectivityState.SHUTDOWN,
    ];
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const state = channel.getConnectivityState(true);
        if (known.includes(state)) {
          resolve();
        } else {
          channel.watchConnectivityState(state, end, (error) => (error ? reject(this.#silent(error)) : look()));
        }
      };
      look();
    });
  }

  #silent(cause: Error): SluiceError {
    const spoken = this.tls === undefined ? "gRPC (in plaintext; with TLS add --ca FILE)" : "gRPC over TLS";
    const text = `no connection to ${this.target} came about within ${CONNECT_MS / 1000} s. Is the address right, and is it a device that speaks ${spoken}?`;
    return new SluiceError("grpc", text, { cause });
  }

  #explain(cause: ServiceError): SluiceError {
    const { code, details } = cause;
    const refused = /^No connection established/.test(details) ? refusedConnection(this.target, details, this.tls) : undefined;
    const text =
      {
        [status.UNAVAILABLE]:
          refused ??
          `no device answers at ${this.target} (${details}). Is "sluice run" running there, with this address as --grpc or grpc.listen?`,
        [status.DEADLINE_EXCEEDED]: `the device at ${this.target} did not answer within ${DEADLINE_MS / 1000} s. Is it overloaded, or is something else listening there?`,
        [status.UNIMPLEMENTED]: `what answers at ${this.target} is not Sluice, or not of this version (${details}). Check --target`,
      }[code as number] ?? `the device at ${this.target} answered ${status[code]}: ${details}`;
    return new SluiceError("grpc", text, { cause });
  }
}

function deadline(): { deadline: number } {
  return { deadline: Date.now() + DEADLINE_MS };
}

/** The k-th bit of the mask that is set belongs to the k-th entry of response_error. */
function toErrors(response: AddSessionResponse, sentences: ReadonlyMap<number, string>, from: number): AddError[] {
  const errors: AddError[] = [];
  for (let index = 0; index < BATCH; index++) {
    if ((response.errorStatus >> BigInt(index)) & 1n) {
      const code = response.responseError[errors.length]?.errorStatus ?? response.requestStatus;
      errors.push({
        index: from + index,
        status: code,
        sentence: sentences.get(index) ?? SENTENCES[code] ?? `status ${code}`,
      });
    }
  }
  return errors;
}
