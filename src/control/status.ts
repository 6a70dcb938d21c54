// The answer to one AddSession stream (api.md 8), put together from the fates of its requests.
//
// request_status by rank: the device cannot serve, the table was full, a request was invalid, sessions existed. The bit mask
// covers the first 64 requests. response_error lists every failure in the order of the stream, up to what a client's
// message limit of 4 MB takes; past that only request_status tells, and a stream of that kind is best sent again in parts.
//
// Failures are encoded as they come, some hundred at a time: protobuf lets encoded messages be concatenated, and an answer
// with 200,000 of them would else hold the thread for a tenth of a second.

import { AddSessionResponse, AddSessionStatus, type SessionResponseError } from "./gen/openoffload.js";
import { toTimestamp } from "./translate.js";

const MASK_BITS = 64;
const MESSAGE_BYTES = 4 * 1024 * 1024;
const PART = 512;
/** One part and the other fields, at the longest. */
const PART_BYTES = (PART + 4) * 16;
/** Sentences that go back beside the answer. */
const MAX_SENTENCES = 16;

export class AddOutcome {
  readonly #parts: Buffer[] = [];
  #bytes = 0;
  #errors: SessionResponseError[] = [];
  #mask = 0n;
  #count = 0;
  #full = false;
  #invalid = false;
  #exists = false;
  #unavailable = false;
  #failures = 0;
  /** "<number of the request, from 0>: <what is wrong>", for the first failures that have a sentence. */
  readonly sentences: string[] = [];

  get failures(): number {
    return this.#failures;
  }

  /** The fate of the next request of the stream. `sentence`: what the client should change. */
  add(id: bigint, status: AddSessionStatus, sentence?: string): void {
    const index = this.#count++;
    if (status === AddSessionStatus._SESSION_ACCEPTED) {
      return;
    }
    this.#failures++;
    this.#full ||= status === AddSessionStatus._SESSION_TABLE_FULL;
    this.#invalid ||= status === AddSessionStatus._SESSION_REJECTED;
    this.#exists ||= status === AddSessionStatus._SESSION_ALREADY_EXISTS;
    this.#unavailable ||= status === AddSessionStatus._SESSION_TABLE_UNAVAILABLE;
    if (index < MASK_BITS) {
      this.#mask |= 1n << BigInt(index);
    }
    if (this.#bytes + PART_BYTES < MESSAGE_BYTES) {
      this.#errors.push({ sessionId: id, errorStatus: status });
      if (this.#errors.length === PART) {
        this.#encode({});
      }
    }
    if (sentence !== undefined && this.sentences.length < MAX_SENTENCES) {
      this.sentences.push(`${index}: ${sentence}`);
    }
  }

  /** An encoded AddSessionResponse. `unavailable`: the device cannot serve, even if the stream was empty. */
  response(now: number, unavailable: boolean): Buffer {
    this.#encode({ requestStatus: this.#status(unavailable), errorStatus: this.#mask, startTime: toTimestamp(now) });
    return Buffer.concat(this.#parts);
  }

  #status(unavailable: boolean): AddSessionStatus {
    if (this.#unavailable || unavailable) {
      return AddSessionStatus._SESSION_TABLE_UNAVAILABLE;
    }
    if (this.#full) {
      return AddSessionStatus._SESSION_TABLE_FULL;
    }
    if (this.#invalid) {
      return AddSessionStatus._SESSION_REJECTED;
    }
    return this.#exists ? AddSessionStatus._SESSION_ALREADY_EXISTS : AddSessionStatus._SESSION_ACCEPTED;
  }

  #encode(fields: Partial<AddSessionResponse>): void {
    const part = { requestStatus: 0, errorStatus: 0n, startTime: undefined, responseError: this.#errors, ...fields };
    this.#parts.push(Buffer.from(AddSessionResponse.encode(part).finish()));
    this.#bytes += (this.#parts.at(-1) as Buffer).length;
    this.#errors = [];
  }
}
