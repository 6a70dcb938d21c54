// The answer to one stream of tunnel requests (api.md 12, 13): an error for each that was not carried out, the bit mask of the
// first 64, and request_status by the same ranks as for sessions: cannot serve, full, invalid, existed.
//
// Answers are encoded as they come, some hundred at a time, up to what a client's message limit of 4 MB takes: past that only
// request_status tells.

import { AddTunnelStatus, type CreateIpTunnelResponse, CreateIpTunnelResponses } from "./gen/tunneloffload.js";
import type { Outcome } from "./tunnel-writer.js";

const MASK_BITS = 64;
/** What a client accepts by default, less what the other fields take. */
const MESSAGE_BYTES = 4 * 1024 * 1024 - 64;

const RANKS: readonly AddTunnelStatus[] = [
  AddTunnelStatus._TUNNEL_TABLE_UNAVAILABLE,
  AddTunnelStatus._TUNNEL_TABLE_FULL,
  AddTunnelStatus._TUNNEL_REJECTED,
  AddTunnelStatus._TUNNEL_ALREADY_EXISTS,
];

export class TunnelAnswer {
  readonly #parts: Buffer[] = [];
  #bytes = 0;
  #mask = 0n;
  #count = 0;
  readonly #statuses = new Set<AddTunnelStatus>();
  failures = 0;
  /** "<number, from 0>: <what is wrong>", of the first failure. */
  first: string | undefined;

  /** What became of the next request of the stream. */
  add({ id, fault }: Outcome): void {
    const index = this.#count++;
    if (fault !== undefined) {
      this.failures++;
      this.first ??= `${index}: ${fault.message}`;
      this.#statuses.add(fault.status);
      if (index < MASK_BITS) this.#mask |= 1n << BigInt(index);
    }
    if (this.#bytes > MESSAGE_BYTES) return;
    const response: CreateIpTunnelResponse = { tunnelId: id, error: fault?.toMessage() };
    const part = Buffer.from(
      CreateIpTunnelResponses.encode({ requestStatus: 0, errorStatus: 0n, responses: [response] }).finish(),
    );
    this.#bytes += part.length;
    if (this.#bytes <= MESSAGE_BYTES) this.#parts.push(part);
  }

  /** An encoded CreateIpTunnelResponses. `unavailable`: the device cannot serve, even if the stream was empty. */
  response(unavailable: boolean): Buffer {
    const requestStatus = unavailable
      ? AddTunnelStatus._TUNNEL_TABLE_UNAVAILABLE
      : (RANKS.find((status) => this.#statuses.has(status)) ?? AddTunnelStatus._TUNNEL_ACCEPTED);
    const rest = CreateIpTunnelResponses.encode({ requestStatus, errorStatus: this.#mask, responses: [] }).finish();
    return Buffer.concat([...this.#parts, rest]);
  }
}
