// The end of a client's stream: complete, or cut off? A batch of a stream that was cut off must leave nothing behind.

import type { ServerReadableStream } from "@grpc/grpc-js";

/**
 * When a call is cancelled or runs out of time, Node's HTTP/2 client first closes its side, as if the batch were complete,
 * and resets the stream afterwards: 1 ms later as a rule, 5 ms on a busy machine. So its batches wait longer than that.
 * Our own client (client.ts) has a name of its own before that of grpc-node: it never cancels a batch.
 */
const NODE_CLIENT = /^grpc-node/;
const NODE_RESET_MS = 10;

/** Call at the stream's end: `then` runs unless it was cut off. `pending`: there is a batch that is not carried out yet. `later`: how to wait a turn. */
export function whenWhole<Request, Response>(
  call: ServerReadableStream<Request, Response>,
  pending: boolean,
  then: () => void,
  later: (step: () => void) => void = setImmediate,
): void {
  const look = (): void => {
    if (!gone(call)) then();
  };
  // A stream that was cut off ends too, in the same turn of the event loop in which it is then known to be cancelled.
  if (pending && NODE_CLIENT.test(String(call.metadata.get("user-agent")[0]))) {
    setTimeout(() => later(look), NODE_RESET_MS);
  } else {
    later(look);
  }
}

/** Nobody waits for an answer any more. */
export function gone<Request, Response>(call: ServerReadableStream<Request, Response>): boolean {
  return call.cancelled || call.destroyed || Date.now() >= Number(call.getDeadline());
}
