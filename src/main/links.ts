// Watches the interfaces of a running device and says when one goes down or comes back. The workers' sockets recover by
// themselves (port/af-packet.ts); this is for whoever reads the log.

import type { PortConfig } from "../config/config.js";
import { native } from "../port/native.js";
import type { Log } from "./log.js";

/** Milliseconds between two looks. */
const INTERVAL = 250;

export function watchLinks(ports: readonly PortConfig[], log: Log): () => void {
  const watched = ports.flatMap((port) =>
    port.driver.driver === "af_packet" ? [{ port: port.name, interface: port.driver.interface, state: "up" }] : [],
  );
  const timer = setInterval(() => {
    for (const link of watched) {
      const now = native.linkState(link.interface);
      const state = !now.present ? "gone" : now.up && now.running ? "up" : "down";
      if (state === link.state) continue;
      link.state = state;
      const about = { port: link.port, interface: link.interface };
      if (state === "up") log.info(about, "interface is up again, the port serves");
      else log.warn(about, `interface is ${state}: what goes to this port is dropped until it is back`);
    }
  }, INTERVAL);
  return () => clearInterval(timer);
}
