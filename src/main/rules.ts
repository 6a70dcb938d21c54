// What the control room needs of the configuration to understand a request.

import type { Config } from "../config/config.js";
import { addressText, type SessionRules } from "../control/translate.js";
import type { TunnelNames } from "../control/tunnel-rule.js";
import type { SaTable } from "../table/sa-table.js";

export function sessionRules({ api, sessions, ports, nextHops }: Config): SessionRules {
  const uplinks = ports.filter((port) => port.role === "uplink");
  return {
    ipv4Order: api.ipv4Order,
    defaultTimeout: sessions.defaultTimeout,
    nextHops: new Map(nextHops.map(({ ip }, index) => [addressText(ip), index])),
    lifs: new Map(uplinks.map((port) => [port.lif, ports[port.peer]?.lif ?? 0])),
  };
}

export function tunnelNames({ api, ports, tunnels }: Config, sas: SaTable): TunnelNames {
  const receiving = ports.filter((port) => port.role !== "named");
  const interfaces = receiving.flatMap(({ driver, index }): [string, number][] =>
    driver.driver === "af_packet" ? [[driver.interface, index]] : [],
  );
  return {
    ipv4Order: api.ipv4Order,
    // An interface may be called 1: then the logical interface of that number is meant.
    ports: new Map([...interfaces, ...receiving.map(({ name, index }): [string, number] => [name, index])]),
    portNames: ports.map(({ name }) => name),
    geneve: tunnels.geneve,
    vxlan: tunnels.vxlan,
    ipsec: tunnels.ipsec,
    sas,
    revealKeys: api.revealKeys,
  };
}
