// A client of a running device, for the command line. Its errors say what to check.

import { type ClientReadableStream, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { SluiceError } from "../errors.js";
import { ERROR_METADATA, ERROR_SEPARATOR } from "./add-session.js";
import {
  type AddSessionResponse,
  AddSessionStatus,
  RequestStatus,
  type SessionRequest,
  type SessionRequestArgs,
  type SessionResponse,
  SessionTableClient,
} from "./gen/openoffload.js";
import { DeviceClient, type StatsResponse } from "./gen/sluice.js";

/** A request that the device did not take. */
export interface AddError {
  /** In the list that was sent. */
  readonly index: number;
  readonly status: AddSessionStatus;
  /** What is wrong with it. */
  readonly sentence: string;
}

const DEADLINE_MS = 10_000;
/** Requests per stream: as many as the answer's bit mask names one by one. */
const BATCH = 64;
const PAGE = 4096;

const SENTENCES: Record<number, string> = {
  [AddSessionStatus._SESSION_REJECTED]: "the device finds it invalid",
  [AddSessionStatus._SESSION_TABLE_FULL]: "the session table is full",
  [AddSessionStatus._SESSION_TABLE_UNAVAILABLE]: "the device is starting, stopping, or has no worker: try again",
  [AddSessionStatus._SESSION_ALREADY_EXISTS]: "its session_id or one of its two flows is taken by another session",
};

export class SluiceClient {
  readonly #sessions: SessionTableClient;
  readonly #device: DeviceClient;

  /** `target`: "address:port". */
  constructor(private readonly target: string) {
    // The device is reached directly, whatever proxy the environment names. For the name see add-session.ts.
    const options = { "grpc.enable_http_proxy": 0, "grpc.primary_user_agent": "sluice" };
    this.#sessions = new SessionTableClient(target, credentials.createInsecure(), options);
    this.#device = new DeviceClient(target, credentials.createInsecure(), options);
  }

  close(): void {
    this.#sessions.close();
    this.#device.close();
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

  /** All sessions in creation order. */
  async *sessions(): AsyncGenerator<SessionResponse> {
    let key = 0n;
    for (;;) {
      const args: SessionRequestArgs = { pageSize: PAGE, page: 0, startSession: key };
      const page = await this.#call((done: Done<{ sessionInfo: SessionResponse[]; nextKey: bigint }>) =>
        this.#sessions.getAllSessions(args, new Metadata(), deadline(), done),
      );
      yield* page.sessionInfo;
      if (page.sessionInfo.length === 0) {
        return;
      }
      key = page.nextKey;
    }
  }

  /** Sessions that have closed and were not fetched before. `follow`: does not end, and yields them as they close. */
  async *closedSessions(follow = false): AsyncGenerator<SessionResponse> {
    const metadata = new Metadata();
    if (follow) {
      metadata.set("sluice-follow", "1");
    }
    const args: SessionRequestArgs = { pageSize: 0, page: 0, startSession: 0n };
    const stream: ClientReadableStream<SessionResponse> = this.#sessions.getClosedSessions(args, metadata);
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

  #addBatch(requests: readonly SessionRequest[], from: number): Promise<AddError[]> {
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
    try {
      const response = await this.#call(start);
      return response.requestStatus === RequestStatus._REJECTED_SESSION_NONEXISTENT ? undefined : response;
    } catch (error) {
      if (error instanceof SluiceError && (error.cause as ServiceError | undefined)?.code === status.NOT_FOUND) {
        return undefined;
      }
      throw error;
    }
  }

  #call<T>(start: (done: Done<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      start((error, value) => (error ? reject(this.#explain(error)) : resolve(value)));
    });
  }

  #explain(cause: ServiceError): SluiceError {
    const text =
      {
        [status.UNAVAILABLE]: `no device answers at ${this.target} (${cause.details}). Is "sluice run" running there, with this address as --grpc or grpc.listen?`,
        [status.DEADLINE_EXCEEDED]: `the device at ${this.target} did not answer within ${DEADLINE_MS / 1000} s. Is it overloaded, or is something else listening there?`,
        [status.UNIMPLEMENTED]: `what answers at ${this.target} is not Sluice, or not of this version (${cause.details}). Check --target`,
      }[cause.code as number] ?? `the device at ${this.target} answered ${status[cause.code]}: ${cause.details}`;
    return new SluiceError("grpc", text, { cause });
  }
}

type Done<T> = (error: ServiceError | null, value: T) => void;

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
