// ESP decapsulation (RFC 4303 section 3.4, RFC 4106, RFC 4309, RFC 3948). In this order: lengths, replay window as far as it can be
// told yet, ICV, then the window for good, padding, and what is inside: nothing of a packet is believed before its ICV is right.
//
// prepare() leaves the decryption as a job, finish() goes on behind it. Tunnel mode: next header 4 or 41 only, the length is the inner
// header's, so that traffic flow confidentiality padding (RFC 4303 section 2.7) goes; ECN by RFC 6040. Transport mode: any next header; out of
// UDP, TCP and UDP checksums are computed anew, as addresses may have been translated on the way (RFC 3948 section 3.1.2).
//
// Not here: the outer UDP checksum, on which a receiver must not depend (RFC 3948 section 2.1): the ICV tells more. Whether the
// outer addresses are the peer's: the rule's match tells.

import { Job } from "../aead/aead.js";
import { BURST, type Burst } from "../memory/burst.js";
import { Fate } from "../reason.js";
import { Verdict } from "../table/replay-window.js";
import type { RuleLookup } from "../table/rule-lookup.js";
import { Base, Rule, Settings } from "../table/rule-memory.js";
import { SaFailure } from "../table/sa.js";
import { Sa, SaFlags } from "../table/sa-memory.js";
import { be16 } from "../wire/bytes.js";
import { finish, finishUdp, pseudo4, pseudo6, sum, swap16 } from "../wire/checksum.js";
import { Esp, EspTrailer } from "../wire/esp.js";
import { EtherType } from "../wire/ethernet.js";
import { Ipv4, Protocol } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";
import { Tcp } from "../wire/tcp.js";
import { Udp } from "../wire/udp.js";
import { combineEcn, headerSum } from "./decap.js";
import type { EspContexts } from "./esp-contexts.js";
import { type EspJobs, putJob } from "./esp-jobs.js";
import { EspPlace } from "./extension-headers.js";
import type { Headers } from "./headers.js";
import { moveHeaders } from "./room.js";

export class EspOpen {
  /** Bytes that finish() took off, but for padding: see Origins. */
  removed = 0;
  readonly #place = new EspPlace();
  // By position
  readonly #high = new Int32Array(BURST);
  readonly #low = new Int32Array(BURST);
  readonly #ip = new Int32Array(BURST);
  readonly #tos = new Int32Array(BURST);

  constructor(
    readonly rules: RuleLookup,
    readonly contexts: EspContexts,
    readonly jobs: EspJobs,
  ) {}

  /** @returns Fate.count: its job is queued; or why it is dropped */
  prepare(burst: Burst, i: number, headers: Headers, slot: number): Fate {
    const { contexts, jobs } = this;
    const { bytes, halves } = burst.frames;
    const sa = this.rules.records[slot * Rule.size + Rule.sa];
    const esp = headers.base[Base.header];
    if (!contexts.ready(sa)) return Fate.espNoSa;
    if (headers.fragment) return jobs.failed(sa, SaFailure.fragment);
    const ip = headers.base[Base.ip];
    let end = headers.ipEnd;
    if (headers.protocol === Protocol.udp) {
      end = headers.transport + be16(bytes, headers.transport + Udp.totalLength);
      if (end > headers.ipEnd) return jobs.failed(sa, SaFailure.malformed);
    }
    if (headers.version === 4 && finish(headerSum(burst.frames, ip, (bytes[ip] & Ipv4.ihlMask) << 2)) !== 0)
      return Fate.outerChecksum;
    const payload = esp + Esp.payload;
    const length = end - contexts.icv(sa) - payload;
    if (length < EspTrailer.alignment || (length & (EspTrailer.alignment - 1)) !== 0) return jobs.failed(sa, SaFailure.malformed);
    const { records, windows } = contexts.sas;
    const record = sa * Sa.size;
    const esn = (records[record + Sa.flags] & SaFlags.esn) !== 0;
    const low = (swap16(halves[(esp + Esp.sequence) >> 1]) << 16) | swap16(halves[(esp + Esp.sequence + 2) >> 1]);
    const verdict = windows.check(sa, low, esn, records[record + Sa.window]);
    if (verdict !== Verdict.ok) return jobs.failed(sa, failureOf(verdict));
    this.#low[i] = low;
    this.#high[i] = windows.high;
    this.#ip[i] = ip;
    this.#tos[i] = headers.tos;

    putJob(jobs.open, jobs.opens++, halves, i, sa, esp, length, esn, windows.high);
    return Fate.count;
  }

  /** After decryption. @param job its number of those that are done. @returns as Decapsulation.apply */
  finish(burst: Burst, i: number, slot: number, job: number): Fate {
    const { contexts, jobs } = this;
    const { bytes } = burst.frames;
    const list = jobs.opened;
    const at = job * Job.size;
    const sa = list[at + Job.context];
    if (list[at + Job.status] !== 0) return jobs.failed(sa, SaFailure.authentication);
    const { records, windows } = contexts.sas;
    const verdict = windows.accept(sa, this.#low[i], this.#high[i], records[sa * Sa.size + Sa.window]);
    if (verdict !== Verdict.ok) return jobs.failed(sa, failureOf(verdict));
    const payload = list[at + Job.data];
    const trailer = payload + list[at + Job.length] - EspTrailer.length;
    const pad = bytes[trailer];
    const next = bytes[trailer + 1];
    if (payload + pad > trailer) return jobs.failed(sa, SaFailure.padding);
    for (let p = 1, from = trailer - pad - 1; p <= pad; p++) if (bytes[from + p] !== p) return jobs.failed(sa, SaFailure.padding);
    if (next === Protocol.none) return jobs.failed(sa, SaFailure.dummy);
    const length = trailer - pad - payload;
    const settings = this.rules.records[slot * Rule.size + Rule.settings];
    const failure =
      (settings & Settings.tunnelMode) !== 0
        ? this.#tunnel(burst, i, payload, length, next)
        : this.#transport(burst, i, payload, length, next, (settings & Settings.natt) !== 0);
    if (failure !== SaFailure.count) return jobs.failed(sa, failure);
    this.removed += EspTrailer.length + contexts.icv(sa);
    jobs.count(sa, length, burst.now);
    return Fate.count;
  }

  /** Of a packet that finish() has dropped. */
  spi(job: number): number {
    return this.contexts.sas.records[this.jobs.opened[job * Job.size + Job.context] * Sa.size + Sa.spi];
  }

  sequence(i: number): number {
    return this.#low[i];
  }

  /** @returns SaFailure.count: done */
  #tunnel(burst: Burst, i: number, ip: number, length: number, next: number): SaFailure {
    const { bytes, halves } = burst.frames;
    const version = bytes[ip] >>> 4;
    let inner = 0;
    if (next === Protocol.ipv4 && version === 4 && length >= Ipv4.length) {
      const header = (bytes[ip] & Ipv4.ihlMask) << 2;
      inner = be16(bytes, ip + Ipv4.totalLength);
      if (header < Ipv4.length || inner < header) return SaFailure.payload;
    } else if (next === Protocol.ipv6 && version === 6 && length >= Ipv6.length) {
      inner = Ipv6.length + be16(bytes, ip + Ipv6.payloadLength);
    } else {
      return SaFailure.payload;
    }
    if (inner > length) return SaFailure.payload;
    if (combineEcn(burst, version, ip, this.#tos[i] & 3) !== Fate.count) return SaFailure.ecn;
    const start = burst.offset[i];
    const outer = this.#ip[i];
    const begin = ip - (outer - start);
    moveHeaders(burst.frames, start, outer, ip - outer);
    halves[(ip - 2) >> 1] = swap16(version === 4 ? EtherType.ipv4 : EtherType.ipv6);
    this.removed = ip - outer;
    settle(burst, i, begin, ip + inner);
    return SaFailure.count;
  }

  #transport(burst: Burst, i: number, payload: number, length: number, next: number, natt: boolean): SaFailure {
    const { bytes, halves } = burst.frames;
    const start = burst.offset[i];
    const before = this.#ip[i];
    const ipv6 = bytes[before] >>> 4 === 6;
    const removed = Esp.payload + (natt ? Udp.length : 0);
    const place = this.#place;
    // Out of UDP there are no headers between: the rule has found it right behind the IP header.
    if (natt) place.find(bytes, before, payload, ipv6, false);
    else if (!place.find(bytes, before, payload, ipv6, true)) return SaFailure.malformed;
    const link = place.link + removed;
    const begin = start + removed;
    moveHeaders(burst.frames, start, payload - removed, removed);
    const ip = before + removed;
    bytes[link] = next;
    const total = payload + length - ip;
    if (ipv6) {
      halves[(ip + Ipv6.payloadLength) >> 1] = swap16(total - Ipv6.length);
    } else {
      halves[(ip + Ipv4.totalLength) >> 1] = swap16(total);
      halves[(ip + Ipv4.checksum) >> 1] = 0;
      halves[(ip + Ipv4.checksum) >> 1] = finish(sum(burst.frames, ip, (bytes[ip] & Ipv4.ihlMask) << 2));
    }
    if (natt && !renew(burst, ip, payload, length, next, ipv6)) return SaFailure.payload;
    this.removed = removed;
    settle(burst, i, begin, payload + length);
    return SaFailure.count;
  }
}

/** The frame is from `begin` to `end` now. */
function settle(burst: Burst, i: number, begin: number, end: number): void {
  burst.wire[i] += end - begin - burst.length[i];
  burst.offset[i] = begin;
  burst.length[i] = end - begin;
}

/**
 * Computes a TCP or UDP checksum anew; UDP without one stays so over IPv4.
 * @param carried bytes: behind UDP there may be padding (RFC 4303 section 2.7)
 * @returns false: cut short
 */
function renew(burst: Burst, ip: number, at: number, carried: number, protocol: number, ipv6: boolean): boolean {
  if (protocol !== Protocol.tcp && protocol !== Protocol.udp) return true;
  const tcp = protocol === Protocol.tcp;
  if (carried < (tcp ? Tcp.length : Udp.length)) return false;
  const { frames } = burst;
  const length = tcp ? carried : be16(frames.bytes, at + Udp.totalLength);
  if (length > carried || length < Udp.length) return false;
  const field = (at + (tcp ? Tcp.checksum : Udp.checksum)) >> 1;
  if (!tcp && frames.halves[field] === 0) return true;
  frames.halves[field] = 0;
  const covered = (ipv6 ? pseudo6 : pseudo4)(frames, ip, protocol, length) + sum(frames, at, length);
  frames.halves[field] = tcp ? finish(covered) : finishUdp(covered);
  return true;
}

function failureOf(verdict: Verdict): SaFailure {
  return verdict === Verdict.replayed ? SaFailure.replayed : SaFailure.tooOld;
}
