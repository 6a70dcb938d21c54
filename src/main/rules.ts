// What the control room needs of the configuration to understand a session request.

import type { Config } from "../config/config.js";
import { addressText, type SessionRules } from "../control/translate.js";

export function sessionRules({ api, sessions, ports, nextHops }: Config): SessionRules {
  const uplinks = ports.filter((port) => port.role === "uplink");
  return {
    ipv4Order: api.ipv4Order,
    defaultTimeout: sessions.defaultTimeout,
    nextHops: new Map(nextHops.map(({ ip }, index) => [addressText(ip), index])),
    lifs: new Map(uplinks.map((port) => [port.lif, ports[port.peer]?.lif ?? 0])),
  };
}
