// Tells of packets that IPsec drops (RFC 4303 sections 3.3.3, 3.4.2, 3.4.3, 3.4.4.2: SPI, addresses and sequence number), so many a
// second at the most: who sends such packets must not fill a log.

import type { Burst } from "../memory/burst.js";
import type { NoticeRing } from "../memory/notice-ring.js";
import type { Fate } from "../reason.js";
import { behindTags } from "../wire/ethernet.js";
import { Ipv4 } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";

/** Int32 fields of a notice. */
export const enum EspNotice {
  fate,
  spi,
  sequence,
  /** 4 or 6. */
  version,
  /** In network order: 16 bytes each, of IPv4 the first 4. */
  source = 4,
  destination = 8,
}

export class EspAudit {
  #left = 0;
  #until = 0;

  constructor(
    readonly ring: NoticeRing,
    /** Notices per second. */
    readonly rate: number,
  ) {}

  /** @param sequence that the packet came with, or 0 */
  note(burst: Burst, i: number, fate: Fate, spi: number, sequence: number): void {
    if (this.rate === 0) return;
    if (burst.now >= this.#until) {
      this.#until = burst.now + 1000;
      this.#left = this.rate;
    }
    if (this.#left === 0) {
      this.ring.lose();
      return;
    }
    const at = this.ring.begin();
    if (at < 0) return;
    this.#left--;
    const { words } = this.ring;
    const { halves, bytes } = burst.frames;
    const ip = behindTags(bytes, burst.offset[i], burst.offset[i] + burst.length[i]);
    const ipv6 = bytes[ip] >>> 4 === 6;
    words[at + EspNotice.fate] = fate;
    words[at + EspNotice.spi] = spi;
    words[at + EspNotice.sequence] = sequence;
    words[at + EspNotice.version] = ipv6 ? 6 : 4;
    const from = (ip + (ipv6 ? Ipv6.source : Ipv4.source)) >> 1;
    const count = ipv6 ? 4 : 1;
    for (let w = 0; w < count; w++) {
      words[at + EspNotice.source + w] = halves[from + 2 * w] | (halves[from + 2 * w + 1] << 16);
      const to = from + 2 * (w + count);
      words[at + EspNotice.destination + w] = halves[to] | (halves[to + 1] << 16);
    }
    this.ring.publish();
  }
}
