// sluice.v1.Tunnels: VXLAN tunnels, the options of any tunnel, and security associations.

import { type handleClientStreamingCall, type ServerWritableStream, status } from "@grpc/grpc-js";
import type { NewRule } from "../table/rule.js";
import type { RuleTable } from "../table/rule-table.js";
import { createTunnels } from "./create-tunnels.js";
import {
  type TunnelOptions,
  type TunnelsServer,
  TunnelsService,
  type VxlanTunnelRequest,
  VxlanTunnels,
} from "./gen/sluice_tunnel.js";
import type { TunnelId, TunnelRequestArgs } from "./gen/tunneloffload.js";
import { RpcError, unary } from "./handler.js";
import { encodedSas } from "./sa-response.js";
import type { Service } from "./server.js";
import { list } from "./tunnel-list.js";
import { fromSettings, toSettings } from "./tunnel-options.js";
import { fromRule, type TunnelNames } from "./tunnel-rule.js";
import type { TunnelServiceOptions } from "./tunnel-service.js";

export function vxlanService({ rules, writer, names, log }: TunnelServiceOptions): Service {
  const handlers: Handlers = {
    createVxlanTunnel: createTunnels<VxlanTunnelRequest>("CreateVxlanTunnel", writer, log),
    getVxlanTunnel: unary<TunnelId, VxlanTunnelRequest>("GetVxlanTunnel", log, ({ tunnelId }) => {
      const rule = rules.get(tunnelId)?.rule;
      if (rule === undefined) throw missing(tunnelId);
      if (!isVxlan(rule)) {
        throw new RpcError(status.NOT_FOUND, `tunnel ${tunnelId} is not a VXLAN tunnel: IpTunnelService.GetIpTunnel has it`);
      }
      return fromRule(rule, names, true) as VxlanTunnelRequest;
    }),
    getAllVxlanTunnels: list(
      "GetAllVxlanTunnels",
      () => all(rules, names),
      ({ tunnelsPerRequest }: TunnelRequestArgs) => tunnelsPerRequest,
      log,
    ),
    setTunnelOptions: unary<TunnelOptions, TunnelOptions>("SetTunnelOptions", log, async (options) => {
      const changes = toSettings(options);
      if (typeof changes === "string") throw new RpcError(status.INVALID_ARGUMENT, changes);
      const settings = await writer.setSettings(options.tunnelId, changes);
      if (settings === undefined) throw missing(options.tunnelId);
      if (typeof settings === "string") throw new RpcError(status.INVALID_ARGUMENT, settings);
      return fromSettings(options.tunnelId, settings);
    }),
    getTunnelOptions: unary<TunnelId, TunnelOptions>("GetTunnelOptions", log, ({ tunnelId }) => {
      const rule = rules.get(tunnelId)?.rule;
      if (rule === undefined) throw missing(tunnelId);
      return fromSettings(tunnelId, rule.settings);
    }),
    listSas: list(
      "ListSas",
      ({ tunnelId }: TunnelId) => {
        if (tunnelId !== 0n && !rules.has(tunnelId)) throw missing(tunnelId);
        return encodedSas(rules, names.sas, tunnelId);
      },
      () => 0,
      log,
    ),
  };
  return { definition: DEFINITION, handlers, end: () => {} };
}

function isVxlan({ tunnel: { kind } }: NewRule): boolean {
  return kind === "vxlan-encap" || kind === "vxlan-decap";
}

function* all(rules: RuleTable, names: TunnelNames): Generator<Uint8Array> {
  for (const { rule } of rules.list()) {
    if (!isVxlan(rule)) continue;
    yield VxlanTunnels.encode({ tunnels: [fromRule(rule, names, true) as VxlanTunnelRequest] }).finish();
  }
}

function missing(id: bigint): RpcError {
  return new RpcError(status.NOT_FOUND, `there is no tunnel ${id}`);
}

/** As generated, but for the answers that can be long: they come encoded. */
type Handlers = Omit<TunnelsServer, "createVxlanTunnel" | "getAllVxlanTunnels" | "listSas"> & {
  createVxlanTunnel: handleClientStreamingCall<VxlanTunnelRequest, Buffer>;
  getAllVxlanTunnels: (call: ServerWritableStream<TunnelRequestArgs, Buffer>) => void;
  listSas: (call: ServerWritableStream<TunnelId, Buffer>) => void;
};

const encoded = { responseSerialize: (message: Buffer) => message };

const DEFINITION = {
  ...TunnelsService,
  createVxlanTunnel: { ...TunnelsService.createVxlanTunnel, ...encoded },
  getAllVxlanTunnels: { ...TunnelsService.getAllVxlanTunnels, ...encoded },
  listSas: { ...TunnelsService.listSas, ...encoded },
};
