// The answer to one AddSession stream (api.md 8), put together from the fates of its requests.
//
// request_status by rank: the device cannot serve, the table was full, a request was invalid, sessions existed. The bit mask
// covers the first 64 requests. response_error lists every failure in the order of the stream, up to what a client's
// message limit of 4 MB takes; past that only request_status tells, and a stream of that kind is best sent again in parts.

import { AddSessionResponse, AddSessionStatus } from "./gen/openoffload.js";
import { toTimestamp } from "./translate.js";

const MASK_BITS = 64;
/** At most 16 bytes each on the wire. */
const MAX_ERRORS = 250_000;
/** Sentences that go back beside the answer. */
const MAX_SENTENCES = 16;

export class AddOutcome {
  readonly #response = AddSessionResponse.decode(new Uint8Array());
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
      this.#response.errorStatus |= 1n << BigInt(index);
    }
    if (this.#response.responseError.length < MAX_ERRORS) {
      this.#response.responseError.push({ sessionId: id, errorStatus: status });
    }
    if (sentence !== undefined && this.sentences.length < MAX_SENTENCES) {
      this.sentences.push(`${index}: ${sentence}`);
    }
  }

  /** `unavailable`: the device cannot serve, even if the stream was empty. */
  response(now: number, unavailable: boolean): AddSessionResponse {
    const response = this.#response;
    response.startTime = toTimestamp(now);
    if (this.#unavailable || unavailable) {
      response.requestStatus = AddSessionStatus._SESSION_TABLE_UNAVAILABLE;
    } else if (this.#full) {
      response.requestStatus = AddSessionStatus._SESSION_TABLE_FULL;
    } else if (this.#invalid) {
      response.requestStatus = AddSessionStatus._SESSION_REJECTED;
    } else if (this.#exists) {
      response.requestStatus = AddSessionStatus._SESSION_ALREADY_EXISTS;
    }
    return response;
  }
}
