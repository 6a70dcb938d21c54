// The six RPCs of tunneloffload.v2.IpTunnelService.

import { type handleClientStreamingCall, type ServerWritableStream, status } from "@grpc/grpc-js";
import type { BaseLogger } from "pino";
import type { RuleInfo, RuleTable } from "../table/rule-table.js";
import { createTunnels } from "./create-tunnels.js";
import {
  type CapabilityRequest,
  type CapabilityResponse,
  IpTunnelRequest,
  type IpTunnelResponse,
  IpTunnelResponses,
  type IpTunnelServiceServer,
  IpTunnelServiceService,
  type IpTunnelStatsResponse,
  IpTunnelStatsResponses,
  type TunnelId,
  type TunnelRequestArgs,
} from "./gen/tunneloffload.js";
import { RpcError, unary } from "./handler.js";
import type { Service } from "./server.js";
import { list } from "./tunnel-list.js";
import { CAPABILITIES, missingStats, missingTunnel, toResponse, toStatsResponse } from "./tunnel-response.js";
import type { TunnelNames } from "./tunnel-rule.js";
import type { TunnelWriter } from "./tunnel-writer.js";

export interface TunnelServiceOptions {
  readonly rules: RuleTable;
  readonly writer: TunnelWriter;
  readonly names: TunnelNames;
  /** How an unknown tunnel is answered: by an OK response with an error, or by NOT_FOUND. */
  readonly missing: "response" | "status";
  readonly log: Pick<BaseLogger, "info" | "error">;
}

export function tunnelService({ rules, writer, names, missing, log }: TunnelServiceOptions): Service {
  function refuseMissing(id: bigint): void {
    if (missing === "status") throw new RpcError(status.NOT_FOUND, `there is no tunnel ${id}`);
  }

  function* all(encode: (info: RuleInfo) => Uint8Array): Generator<Uint8Array> {
    for (const info of rules.list()) yield encode(info);
  }
  const tunnel = (info: RuleInfo) => IpTunnelResponses.encode({ responses: [toResponse(info, names)] }).finish();
  const stats = (info: RuleInfo) => IpTunnelStatsResponses.encode({ responses: [toStatsResponse(info)] }).finish();

  const perMessage = ({ tunnelsPerRequest }: TunnelRequestArgs) => tunnelsPerRequest;

  const handlers: Handlers = {
    capabilities: unary<CapabilityRequest, CapabilityResponse>("Capabilities", log, () => CAPABILITIES),
    createIpTunnel: createTunnels<IpTunnelRequest>("CreateIpTunnel", writer, log),
    getIpTunnel: unary<TunnelId, IpTunnelResponse>("GetIpTunnel", log, ({ tunnelId }) => {
      const info = rules.get(tunnelId);
      if (info === undefined) refuseMissing(tunnelId);
      return info === undefined ? missingTunnel(tunnelId) : toResponse(info, names);
    }),
    getIpTunnelStats: unary<TunnelId, IpTunnelStatsResponse>("GetIpTunnelStats", log, ({ tunnelId }) => {
      const info = rules.get(tunnelId);
      if (info === undefined) refuseMissing(tunnelId);
      return info === undefined ? missingStats(tunnelId) : toStatsResponse(info);
    }),
    getAllIpTunnels: list("GetAllIpTunnels", () => all(tunnel), perMessage, log),
    getAllIpTunnelsStats: list("GetAllIpTunnelsStats", () => all(stats), perMessage, log),
  };
  return { definition: DEFINITION, handlers, end: () => {} };
}

type Listing = (call: ServerWritableStream<TunnelRequestArgs, Buffer>) => void;

/** As generated, but for the answers that can be long: these come encoded. */
type Handlers = Omit<IpTunnelServiceServer, "createIpTunnel" | "getAllIpTunnels" | "getAllIpTunnelsStats"> & {
  createIpTunnel: handleClientStreamingCall<IpTunnelRequest, Buffer>;
  getAllIpTunnels: Listing;
  getAllIpTunnelsStats: Listing;
};

/** The message as it came is overwritten: the request that is made of it is the only place that has its keys. */
function decodeOnce(message: Buffer): IpTunnelRequest {
  try {
    return IpTunnelRequest.decode(message);
  } finally {
    message.fill(0);
  }
}

const encoded = { responseSerialize: (message: Buffer) => message };

const DEFINITION = {
  ...IpTunnelServiceService,
  createIpTunnel: { ...IpTunnelServiceService.createIpTunnel, ...encoded, requestDeserialize: decodeOnce },
  getAllIpTunnels: { ...IpTunnelServiceService.getAllIpTunnels, ...encoded },
  getAllIpTunnelsStats: { ...IpTunnelServiceService.getAllIpTunnelsStats, ...encoded },
};
