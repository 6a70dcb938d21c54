// Watches the interfaces of a running device and says when one goes down or comes back. The workers' sockets recover by
// themselves (port/af-packet.ts); this is for whoever reads the log.

import { type LinkState, linkState } from "../port/interface.js";
import type { Log } from "./log.js";

/** Milliseconds between two looks. */
const INTERVAL = 250;

/** An interface that a port stands on. */
export interface Watched {
  readonly port: string;
  readonly interface: string;
  /** Makes it ready again after it was deleted and made anew. */
  renew(): void;
}

/** @returns what ends it */
export function watchLinks(links: readonly Watched[], log: Log): () => void {
  const seen = links.map((link) => linkState(link.interface));
  const look = () => {
    links.forEach((link, i) => {
      const before = seen[i] as LinkState;
      const now = linkState(link.interface);
      seen[i] = now;
      const about = { port: link.port, interface: link.interface };
      if (now.present && before.ifindex !== now.ifindex) renew(link, log);
      if (word(before) === word(now)) return;
      if (serves(now)) log.info(about, `interface ${link.interface} of port ${link.port} is up: the port serves`);
      else
        log.warn(
          about,
          `interface ${link.interface} of port ${link.port} is ${word(now)}: what goes there is dropped until it is back`,
        );
    });
  };
  const timer = setInterval(look, INTERVAL);
  return () => clearInterval(timer);
}

function serves(link: LinkState): boolean {
  return link.present && link.up && link.running;
}

function word(link: LinkState): string {
  return serves(link) ? "up" : link.present ? "down" : "gone";
}

function renew(link: Watched, log: Log): void {
  try {
    link.renew();
  } catch (err) {
    log.error(
      { port: link.port, interface: link.interface, err },
      `interface ${link.interface} is new and could not be prepared`,
    );
  }
}
