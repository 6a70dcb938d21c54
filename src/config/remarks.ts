// What is allowed but probably not meant: said at start-up, once.

import type { Config } from "./config.js";
import { isLoopback, parseListen } from "./listen.js";

/** @param processors of this machine */
export function remarks(config: Config, processors: number): string[] {
  const said: string[] = [];
  if (config.workers > processors) {
    said.push(`workers: ${config.workers} on ${processors} processors: each worker wants one of its own`);
  }
  for (const cpu of config.pin) {
    if (cpu >= processors) said.push(`pin: there is no processor ${cpu} (0 to ${processors - 1})`);
  }
  const { listen, tls } = config.grpc;
  if (tls === undefined && !isLoopback(parseListen(listen)?.host ?? "")) {
    said.push(`grpc.insecure: whoever reaches ${listen} can program the device, and read what is programmed`);
  }
  if (config.api.revealKeys) {
    said.push(`api.revealKeys: whoever reads tunnels over gRPC at ${listen} gets the keys of their security associations`);
  }
  if (config.tunnels.ipsec.replayWindow === 0) {
    said.push("ipsec.replayWindow: 0: what was captured once is accepted again, as often as it is sent");
  }
  for (const port of config.ports) {
    if (port.role === "uplink" && port.peer < 0 && port.host < 0) {
      said.push(`port ${port.name} has neither a pair nor a host port: what no session sends elsewhere is dropped`);
    }
  }
  return said;
}
