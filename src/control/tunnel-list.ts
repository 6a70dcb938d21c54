// GetAllIpTunnels and GetAllIpTunnelsStats: all tunnels in the order of creation, tunnels_per_request in each message, or as
// many as a message may hold. The next message is made when the one before was taken off our hands, so that a client that
// does not read holds one of them.

import { setImmediate as turn } from "node:timers/promises";
import type { ServerWritableStream } from "@grpc/grpc-js";
import type { BaseLogger } from "pino";
import type { RuleInfo, RuleTable } from "../table/rule-table.js";
import type { TunnelRequestArgs } from "./gen/tunneloffload.js";
import { toStatus } from "./handler.js";

/** What a client accepts by default in one message. */
const MESSAGE_BYTES = 4 * 1024 * 1024;
/** Tunnels that are encoded before others get the thread. */
const SLICE = 512;

type Call = ServerWritableStream<TunnelRequestArgs, Buffer>;

/** @param encode a message of its own with one tunnel: protobuf lets these be concatenated */
export function listTunnels(
  method: string,
  rules: RuleTable,
  encode: (info: RuleInfo) => Uint8Array,
  log: Pick<BaseLogger, "error">,
): (call: Call) => void {
  return (call) => {
    send(call, rules, encode).catch((cause) => call.emit("error", toStatus(cause, method, log)));
  };
}

async function send(call: Call, rules: RuleTable, encode: (info: RuleInfo) => Uint8Array): Promise<void> {
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
  const most = call.request.tunnelsPerRequest || Number.POSITIVE_INFINITY;
  let parts: Uint8Array[] = [];
  let bytes = 0;
  let seen = 0;
  for (const info of rules.list()) {
    const part = encode(info);
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
