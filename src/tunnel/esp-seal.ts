// ESP encapsulation (RFC 4303 section 3.3, RFC 4106, RFC 4309, RFC 3948): writes headers and trailer around what is to be
// encrypted, takes a sequence number, and leaves the encryption as a job; finish() does what can only be done behind that.
//
// Tunnel mode puts an IP header of its own in front (RFC 4301 section 5.1.2: DF, DSCP and ECN as the rule's settings say, TTL of
// its own, the inner header untouched), transport mode keeps the packet's, with its options and extension headers. VLAN tags stay outside.
// Bytes behind the IP packet are Ethernet's padding: gone.

import { Job } from "../aead/aead.js";
import type { Burst } from "../memory/burst.js";
import { Fate } from "../reason.js";
import type { RuleLookup } from "../table/rule-lookup.js";
import { Base, Rule, Settings, TEMPLATE_IP } from "../table/rule-memory.js";
import { SaFailure } from "../table/sa.js";
import { Sa, SaFlags } from "../table/sa-memory.js";
import { finish, finishUdp, pseudo6, sum, swap16 } from "../wire/checksum.js";
import { Esp, EspTrailer } from "../wire/esp.js";
import { behindTags, Ethernet, EtherType } from "../wire/ethernet.js";
import { Ipv4, Protocol } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";
import { Udp } from "../wire/udp.js";
import type { EspContexts } from "./esp-contexts.js";
import { type EspJobs, putJob } from "./esp-jobs.js";
import { EspPlace } from "./extension-headers.js";
import type { Headers } from "./headers.js";
import type { Identification } from "./identification.js";
import { outerDontFragment, outerTos, writeOuter4 } from "./outer.js";
import { makeRoom, moveHeaders, NO_ROOM } from "./room.js";
import { copyTemplate } from "./template.js";

/** An IP packet's total length, or IPv6 payload length. */
const LONGEST = 0xffff;

export class EspSeal {
  readonly #place = new EspPlace();
  // Of the last packet: as of Encapsulation
  dontFragment = false;
  moved = 0;
  /** Bytes that it has more than before but for its padding: see Origins. */
  added = 0;

  constructor(
    readonly rules: RuleLookup,
    readonly contexts: EspContexts,
    readonly jobs: EspJobs,
    readonly identification: Identification,
  ) {}

  /** @returns Fate.count: the packet has its new form, and its job is queued; or why it is dropped */
  prepare(burst: Burst, i: number, headers: Headers, slot: number): Fate {
    const { rules, contexts, jobs } = this;
    const { bytes, halves } = burst.frames;
    const record = slot * Rule.size;
    const settings = rules.records[record + Rule.settings];
    const sa = rules.records[record + Rule.sa];
    if (!contexts.ready(sa)) return Fate.espNoSa;
    const tunnel = (settings & Settings.tunnelMode) !== 0;
    const length = rules.records[record + Rule.length];
    const inner6 = headers.version === 6;
    const start = headers.base[Base.ethernet];
    const ip = headers.base[Base.ip];
    const place = this.#place;
    // What is encrypted begins at `from`; what says what it is, in transport mode, stands at `link`.
    let from = ip;
    let next: number = inner6 ? Protocol.ipv6 : Protocol.ipv4;
    if (!tunnel) {
      if (headers.fragment || !place.find(bytes, ip, headers.ipEnd, inner6, false)) {
        return jobs.failed(sa, headers.fragment ? SaFailure.fragment : SaFailure.malformed);
      }
      from = place.at;
      next = bytes[place.link];
    }
    const carried = headers.ipEnd - from;
    const pad = -(carried + EspTrailer.length) & (EspTrailer.alignment - 1);
    const data = carried + pad + EspTrailer.length;
    const icv = contexts.icv(sa);
    const outer6 = tunnel ? (settings & Settings.ipv6) !== 0 : inner6;
    const total = (tunnel ? 0 : from - ip) + length + data + icv - (outer6 ? Ipv6.length : 0);
    if (total > LONGEST) return Fate.noHeadroom;
    const { records, sequences } = contexts.sas;
    const flags = records[sa * Sa.size + Sa.flags];
    const esn = (flags & SaFlags.esn) !== 0;
    if (!sequences.next(records[sa * Sa.size + Sa.counter], esn)) return jobs.failed(sa, SaFailure.exhausted);
    const moved = makeRoom(burst, i, start, headers.ipEnd, length, pad + EspTrailer.length + icv);
    if (moved === NO_ROOM) return Fate.noHeadroom;

    const payload = from + moved;
    const esp = payload - Esp.payload;
    const begin = start + moved - length;
    const outer = ip + moved - length;
    // Ethernet, tags, and in transport mode the IP header, move in front; between them and what is encrypted stands the template.
    moveHeaders(burst.frames, begin + length, payload, -length);
    copyTemplate(burst.frames, payload - length, rules, (record + Rule.template) * 2 + (TEMPLATE_IP >> 1), length);
    const udp = payload - Esp.payload - Udp.length;
    const natt = (settings & Settings.natt) !== 0;
    if (natt) halves[(udp + Udp.totalLength) >> 1] = swap16(Udp.length + Esp.payload + data + icv);
    // Transport mode leaves DF as it is.
    this.dontFragment = tunnel ? outerDontFragment(settings, headers) : inner6 || headers.dontFragment;
    if (tunnel) {
      this.#outer(burst, headers, record, outer, total);
    } else {
      this.#transport(burst, outer, place.link + moved - length, total, inner6, natt);
    }
    this.moved = moved;
    this.added = length + EspTrailer.length + icv;

    put32(halves, esp + Esp.sequence, sequences.low);
    put32(halves, esp + Esp.iv, sequences.ivHigh);
    put32(halves, esp + Esp.iv + 4, sequences.ivLow);
    let at = payload + carried;
    for (let p = 1; p <= pad; p++) bytes[at++] = p;
    bytes[at] = pad;
    bytes[at + 1] = next;

    putJob(jobs.seal, jobs.seals++, halves, i, sa, esp, data, esn, sequences.high);
    const end = payload + data + icv;
    burst.wire[i] += end - begin - burst.length[i];
    burst.offset[i] = begin;
    burst.length[i] = end - begin;
    jobs.count(sa, carried, burst.now);
    return Fate.count;
  }

  /** What the packet decides of the outer header of tunnel mode. @param total of IPv4 all, of IPv6 what follows the header */
  #outer(burst: Burst, headers: Headers, record: number, outer: number, total: number): void {
    const { bytes, halves } = burst.frames;
    const { records, recordHalves } = this.rules;
    const settings = records[record + Rule.settings];
    const tos = outerTos(settings, headers.tos);
    const ipv6 = (settings & Settings.ipv6) !== 0;
    halves[(outer - 2) >> 1] = swap16(ipv6 ? EtherType.ipv6 : EtherType.ipv4);
    if ((settings & Settings.routed) !== 0) {
      const to = (outer - Ethernet.length - headers.tags) >> 1;
      for (let h = 0; h < 6; h++) halves[to + h] = recordHalves[(record + Rule.template) * 2 + h];
    }
    if (ipv6) {
      bytes[outer] |= tos >>> 4;
      bytes[outer + 1] |= (tos & 0xf) << 4;
      halves[(outer + Ipv6.payloadLength) >> 1] = swap16(total);
      return;
    }
    writeOuter4(burst.frames, outer, records[record + Rule.ipSum], total, tos, this.dontFragment, this.identification);
  }

  /** The packet's own header says what follows it now. */
  #transport(burst: Burst, ip: number, link: number, total: number, ipv6: boolean, natt: boolean): void {
    const { bytes, halves } = burst.frames;
    bytes[link] = natt ? Protocol.udp : Protocol.esp;
    if (ipv6) {
      halves[(ip + Ipv6.payloadLength) >> 1] = swap16(total);
      return;
    }
    halves[(ip + Ipv4.totalLength) >> 1] = swap16(total);
    halves[(ip + Ipv4.checksum) >> 1] = 0;
    halves[(ip + Ipv4.checksum) >> 1] = finish(sum(burst.frames, ip, (bytes[ip] & Ipv4.ihlMask) << 2));
  }

  /** After encryption: UDP over IPv6 has a checksum (RFC 8200 section 8.1). @param job its number of those that are done */
  finish(burst: Burst, i: number, slot: number, job: number): void {
    const settings = this.rules.records[slot * Rule.size + Rule.settings];
    if ((settings & Settings.natt) === 0) return;
    const { bytes, halves } = burst.frames;
    const udp = this.jobs.sealed[job * Job.size + Job.data] - Esp.payload - Udp.length;
    const ip = behindTags(bytes, burst.offset[i], burst.offset[i] + burst.length[i]);
    if (bytes[ip] >>> 4 !== 6) return;
    const length = burst.offset[i] + burst.length[i] - udp;
    const covered = pseudo6(burst.frames, ip, Protocol.udp, length) + sum(burst.frames, udp, length);
    halves[(udp + Udp.checksum) >> 1] = finishUdp(covered);
  }
}

function put32(halves: Uint16Array, at: number, value: number): void {
  halves[at >> 1] = swap16(value >>> 16);
  halves[(at >> 1) + 1] = swap16(value & 0xffff);
}
