// Answers that list: GetAllIpTunnels and GetAllIpTunnelsStats, all tunnels in the order of creation, tunnels_per_request in each
// message, or as many as a message may hold; and ListSas. The next message is made when the one before was taken off our hands, so that a client that
// does not read holds one of them.

import { setImmediate as turn } from "node:timers/promises";
import type { ServerWritableStream } from "@grpc/grpc-js";
import type { BaseLogger } from "pino";
import { toStatus } from "./handler.js";

/** What a client accepts by default in one message. */
const MESSAGE_BYTES = 4 * 1024 * 1024;
/** Tunnels that are encoded before others get the thread. */
const SLICE = 512;

type Call<Request> = ServerWritableStream<Request, Buffer>;

/**
 * @param parts each a message of its own with one entry, made when it is asked for: protobuf lets these be concatenated
 * @param perMessage entries; 0: as many as it may hold
 */
export function list<Request>(
  method: string,
  parts: (request: Request) => Iterable<Uint8Array>,
  perMessage: (request: Request) => number,
  log: Pick<BaseLogger, "error">,
): (call: Call<Request>) => void {
  return (call) => {
    send(call, () => parts(call.request), perMessage(call.request) || Number.POSITIVE_INFINITY).catch((cause) =>
      call.emit("error", toStatus(cause, method, log)),
    );
  };
}

async function send<Request>(call: Call<Request>, all: () => Iterable<Uint8Array>, most: number): Promise<void> {
  let cancelled = false;
  let wake = () => {};
  call.on("cancelled", () => {
    cancelled = true;
    wake();
  });
  const write = (parts: Uint8Array[]): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
      call.write(Buffer.concat(parts), () => resolve());
    });
  let parts: Uint8Array[] = [];
  let bytes = 0;
  let seen = 0;
  for (const part of all()) {
    if (parts.length === most || bytes + part.length > MESSAGE_BYTES) {
      await write(parts);
      parts = [];
      bytes = 0;
    }
    parts.push(part);
    bytes += part.length;
    if (++seen % SLICE === 0) await turn();
    if (cancelled) return;
  }
  if (parts.length > 0) await write(parts);
  if (!cancelled) call.end();
}
