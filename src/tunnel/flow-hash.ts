// The hash of a packet's flow, for entropy in outer headers (RFC 7348 section 5, RFC 8926 section 3.3, RFC 6438): the same for all
// packets of a flow, keyed, so that an outsider cannot aim many flows at one path.

import type { Burst } from "../memory/burst.js";
import { finish, type HashKey, mix } from "../table/flow.js";
import { Base } from "../table/rule-memory.js";
import { Ipv4, Protocol } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";
import type { Headers } from "./headers.js";

export class FlowHash {
  constructor(readonly key: HashKey) {}

  /** Addresses, protocol and ports; of fragments without the ports, of what is not IP the MACs and the EtherType. */
  of(burst: Burst, headers: Headers): number {
    const { halves } = burst.frames;
    const { start, k1, k2 } = this.key;
    const { base, version } = headers;
    let h = mix(start, version === 0 ? headers.type : headers.protocol, k1, k2);
    let at = base[Base.ethernet] >> 1;
    let end = at + 6;
    if (version === 4) {
      at = (base[Base.ip] + Ipv4.source) >> 1;
      end = at + 4;
    } else if (version === 6) {
      at = (base[Base.ip] + Ipv6.source) >> 1;
      end = at + 16;
    }
    for (; at < end; at += 2) h = mix(h, halves[at] | (halves[at + 1] << 16), k1, k2);
    const { protocol, transport } = headers;
    if (
      version !== 0 &&
      !headers.fragment &&
      (protocol === Protocol.tcp || protocol === Protocol.udp) &&
      transport + 4 <= headers.ipEnd
    ) {
      h = mix(h, halves[transport >> 1] | (halves[(transport >> 1) + 1] << 16), k1, k2);
    }
    return finish(h);
  }
}
