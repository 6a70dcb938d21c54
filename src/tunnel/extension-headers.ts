// Where ESP stands in an IP packet of transport mode (RFC 4303 section 3.1.1, RFC 8200 section 4.1): behind the IPv4 header with
// its options; behind the IPv6 extension headers that routers on the way look at. Destination options that come last go inside. The same
// headers are those of every fragment (RFC 8200 section 4.5).

import { be16 } from "../wire/bytes.js";
import { Ipv4, Protocol } from "../wire/ipv4.js";
import { Ipv6, Ipv6Extension, Ipv6Fragment } from "../wire/ipv6.js";

/** Extension headers that are looked behind. */
const MAX_HEADERS = 8;

/** One packet at a time; reused for all. */
export class EspPlace {
  /** Byte offset of what follows the headers that stay outside. */
  at = 0;
  /** Byte offset of the field that says what that is. */
  link = 0;

  /**
   * @param end of the IP packet; its header is known to be whole
   * @param esp looks for the ESP header that is there, else for where one would go
   * @returns false: headers are cut short, or too many, or say that it is a fragment; or there is no ESP
   */
  find(bytes: Uint8Array, ip: number, end: number, ipv6: boolean, esp: boolean): boolean {
    if (!ipv6) {
      this.at = ip + ((bytes[ip] & Ipv4.ihlMask) << 2);
      this.link = ip + Ipv4.protocol;
      return !esp || bytes[this.link] === Protocol.esp;
    }
    this.at = ip + Ipv6.length;
    this.link = ip + Ipv6.nextHeader;
    // Behind the last header that stays outside whatever follows.
    let at = this.at;
    let link = this.link;
    for (let headers = 0; headers <= MAX_HEADERS; headers++) {
      const next = bytes[link];
      if (esp && next === Protocol.esp) {
        this.at = at;
        this.link = link;
        return true;
      }
      const option = next === Protocol.destinationOptions;
      if (!isExtension(next) && next !== Protocol.fragment) return !esp;
      if (at + Ipv6Extension.length > end) return false;
      link = at + Ipv6Extension.nextHeader;
      if (next === Protocol.fragment) {
        const offset = be16(bytes, at + Ipv6Fragment.offset);
        if ((offset & (Ipv6Fragment.offsetMask | Ipv6Fragment.more)) !== 0) return false;
        at += Ipv6Fragment.length;
      } else {
        at += Ipv6Extension.length + (bytes[at + Ipv6Extension.words] << 3);
      }
      if (at > end) return false;
      if (!option) {
        this.at = at;
        this.link = link;
      }
    }
    return false;
  }
}

/** Hop-by-Hop, Routing and Destination Options. */
export function isExtension(protocol: number): boolean {
  return protocol === Protocol.hopByHop || protocol === Protocol.routing || protocol === Protocol.destinationOptions;
}
