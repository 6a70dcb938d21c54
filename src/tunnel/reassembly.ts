// Reassembly of datagrams that a decapsulating rule is for (RFC 791 section 3.2, RFC 8200 section 4.5, RFC 5722), bounded in
// memory, time and per source. One per worker: a port's fanout keeps the fragments of a datagram on one.
//
// Whether a datagram is ours shows its first fragment, which has the UDP header: it matches a decapsulating rule, or not.
// A later fragment that comes before it waits when such a rule may be for its outer destination (table/decap-filter.ts).
// What turns out not to be ours, or never shows its first fragment, leaves by the miss path as it came, in order.
//
// A datagram is dropped with all its fragments, those that still come included, when these overlap or contradict each other, or
// exceed 65,535 bytes; exact duplicates are nothing bad (RFC 8200 section 4.5). Memory that is full is taken from the oldest.
//
// Left out: IPv6 Fragment headers behind other extension headers, which no rule looks behind: they pass. A datagram larger
// than the device's memory for a frame drops. Nothing is sent to a datagram's source (ICMP time exceeded): the device has
// no address.

import type { Burst } from "../memory/burst.js";
import { BURST } from "../memory/burst.js";
import { FRAME_LIMIT, slotStart } from "../memory/frames.js";
import { Fate } from "../reason.js";
import type { DecapFilter } from "../table/decap-filter.js";
import type { HashKey } from "../table/flow.js";
import { Base } from "../table/rule-memory.js";
import { be16 } from "../wire/bytes.js";
import { finish, sum, swap16 } from "../wire/checksum.js";
import { Ethernet } from "../wire/ethernet.js";
import { Ipv4 } from "../wire/ipv4.js";
import { Ipv6, Ipv6Fragment } from "../wire/ipv6.js";
import { Datagrams } from "./datagrams.js";
import { Ecn } from "./ecn.js";
import { FragmentStore } from "./fragment-store.js";
import type { Headers } from "./headers.js";

export interface ReassemblyOptions {
  /** Bytes of frames that may wait, per worker. */
  readonly memory: number;
  /** Milliseconds. */
  readonly timeout: number;
  /** Datagrams of one source at a time; sources whose hashes agree in 10 bits share it. */
  readonly perSource: number;
}

const enum State {
  /** The first fragment has not come. */
  unknown,
  ours,
  /** Not ours: what comes passes. */
  passing,
  /** What comes is dropped. */
  dead,
}

/** A datagram may have as many fragments, duplicates included. */
const MOST_FRAGMENTS = 128;
const LONGEST = 0xffff;

/** How an insertion went. */
const enum Fit {
  good,
  duplicate,
  bad,
}

export class Reassembly {
  /** Whether the packet at hand is a whole datagram now. */
  whole = false;
  readonly table: Datagrams;
  readonly #store: FragmentStore;
  // By datagram
  readonly #state: Uint8Array;
  readonly #bad: Uint8Array;
  /** Bytes that it has in all, or -1; that have come; end of the farthest. */
  readonly #total: Int32Array;
  readonly #have: Int32Array;
  readonly #end: Int32Array;
  /** ECN fields seen: one bit each (RFC 3168 section 5.3). */
  readonly #ecn: Uint8Array;
  /** Its fragments in the store, in the order in which they came. */
  readonly #first: Int32Array;
  readonly #last: Int32Array;
  readonly #count: Int32Array;
  // Fragments that leave as they came, in order
  #leaving = -1;
  #leavingLast = -1;

  constructor(
    readonly filter: DecapFilter,
    readonly options: ReassemblyOptions,
    hashKey: HashKey,
    /** By Fate, of this worker. */
    readonly fates: Float64Array,
  ) {
    this.#store = new FragmentStore(options.memory);
    const n = this.#store.blocks;
    this.table = new Datagrams(n, hashKey);
    this.#state = new Uint8Array(n);
    this.#bad = new Uint8Array(n);
    this.#total = new Int32Array(n);
    this.#have = new Int32Array(n);
    this.#end = new Int32Array(n);
    this.#ecn = new Uint8Array(n);
    this.#first = new Int32Array(n);
    this.#last = new Int32Array(n);
    this.#count = new Int32Array(n);
  }

  /** Whether fragments are to leave: see `release`. */
  get leaving(): boolean {
    return this.#leaving >= 0;
  }

  /** When the oldest datagram has waited long enough; Infinity: there is none. */
  get due(): number {
    return this.table.oldest < 0 ? Number.POSITIVE_INFINITY : this.table.born[this.table.oldest] + this.options.timeout;
  }

  /**
   * Takes a UDP fragment as it came in. @param ours whether it is a first fragment and matches a decapsulating rule
   * @returns Fate.count: it goes on, as the whole datagram if `whole`; else what becomes of it
   */
  take(burst: Burst, i: number, headers: Headers, ingress: number, ours: boolean): Fate {
    this.whole = false;
    const { base, version } = headers;
    const { bytes } = burst.frames;
    const ip = base[Base.ip];
    const v4 = version === 4;
    const field = v4 ? be16(bytes, ip + Ipv4.flagsFragment) : be16(bytes, ip + Ipv6.length + Ipv6Fragment.offset);
    const from = v4 ? (field & Ipv4.offsetMask) << 3 : field & Ipv6Fragment.offsetMask;
    const more = v4 ? (field & Ipv4.moreFragments) !== 0 : (field & Ipv6Fragment.more) !== 0;
    const size = headers.ipEnd - headers.transport;
    const sound =
      size > 0 &&
      (!more || (size & 7) === 0) &&
      from + size <= LONGEST - (v4 ? headers.transport - ip : 0) &&
      (!v4 || finish(sum(burst.frames, ip, headers.transport - ip)) === 0);

    const { table } = this;
    let d = table.find(bytes, headers, ingress);
    if (d >= 0 && this.#state[d] === State.dead) return Fate.fragmentOverlap;
    if (d >= 0 && this.#state[d] === State.passing) {
      if (!ours) return Fate.count;
      // The identification comes again, for a datagram of ours.
      this.table.remove(d);
      d = -1;
    }
    if (!sound) {
      if (d >= 0 && (ours || this.#state[d] === State.ours)) this.#kill(d, Fate.tunnelFragment);
      return ours || (d >= 0 && this.#state[d] === State.dead) ? Fate.tunnelFragment : Fate.count;
    }
    if (d < 0) {
      if (!ours && !this.filter.mayMatch(bytes, ip + (v4 ? Ipv4.destination : Ipv6.destination), v4 ? 4 : 16)) {
        return Fate.count;
      }
      if (from === 0 && !ours) {
        // Good to know, but not worth a datagram that is under way.
        if (!table.full || this.#state[table.oldest] === State.passing) {
          this.#add(burst.time[i], State.passing);
        }
        return Fate.count;
      }
      if (table.ofSource >= this.options.perSource) return ours ? Fate.tunnelFragment : Fate.count;
      if (!ours && (table.full || !this.#roomForUnknown())) return Fate.count;
      d = this.#add(burst.time[i], ours ? State.ours : State.unknown);
    } else if (ours) {
      this.#state[d] = State.ours;
    }

    const fit = this.#fit(d, bytes, headers.transport, from, size, more);
    const held = this.#hold(d, burst, i);
    if (held < 0) {
      if (this.#state[d] === State.ours) {
        this.#kill(d, Fate.tunnelFragment);
        return Fate.tunnelFragment;
      }
      this.#pass(d);
      return Fate.count;
    }
    this.#store.front[held] = headers.transport - burst.offset[i];
    this.#store.from[held] = from;
    this.#store.size[held] = size;
    this.#store.duplicate[held] = fit === Fit.duplicate ? 1 : 0;
    if (fit === Fit.bad) this.#bad[d] = 1;
    if (fit === Fit.good) this.#have[d] += size;
    this.#ecn[d] |= 1 << (headers.tos & 3);
    // It is counted as waiting when the burst is; here those that came before.
    if (from === 0 && !ours) {
      this.#pass(d);
      return Fate.waiting;
    }
    if (this.#state[d] === State.unknown) return Fate.waiting;
    if (this.#bad[d] !== 0) return this.#killAll(d, Fate.fragmentOverlap);
    if (this.#have[d] !== this.#total[d]) return Fate.waiting;
    return this.#assemble(d, burst, i, headers);
  }

  /** Ends what has waited too long. Infinity: all. */
  expire(now: number): void {
    while (this.table.oldest >= 0 && this.due <= now) this.#giveUp(this.table.oldest, Fate.reassemblyTimeout);
  }

  /** Puts fragments that leave as they came at the first positions of the burst. @returns how many */
  release(burst: Burst): number {
    let n = 0;
    for (; n < BURST && this.#leaving >= 0; n++) {
      const held = this.#leaving;
      this.#leaving = this.#store.next[held];
      this.#store.load(held, burst, n);
      this.#store.release(held);
    }
    this.fates[Fate.waiting] = this.fates[Fate.waiting] - n;
    return n;
  }

  /** A datagram with the key at hand; when there is no room, the oldest gives way. */
  #add(now: number, state: State): number {
    const { table } = this;
    if (table.full) this.#giveUp(table.oldest, Fate.tunnelFragment);
    const d = table.add(now, state !== State.passing);
    this.#state[d] = state;
    this.#bad[d] = 0;
    this.#total[d] = -1;
    this.#have[d] = 0;
    this.#end[d] = 0;
    this.#ecn[d] = 0;
    this.#first[d] = -1;
    this.#count[d] = 0;
    return d;
  }

  /** How these bytes go with those that came. */
  #fit(d: number, bytes: Uint8Array, at: number, from: number, size: number, more: boolean): Fit {
    const store = this.#store;
    const end = from + size;
    const total = this.#total[d];
    if (!more) {
      if ((total >= 0 && total !== end) || this.#end[d] > end) return Fit.bad;
      this.#total[d] = end;
    } else if (total >= 0 && end > total) {
      return Fit.bad;
    }
    if (end > this.#end[d]) this.#end[d] = end;
    for (let held = this.#first[d]; held >= 0; held = store.next[held]) {
      const start = store.from[held];
      if (end <= start || from >= start + store.size[held]) continue;
      return start === from && store.size[held] === size && store.carries(held, bytes, at) ? Fit.duplicate : Fit.bad;
    }
    return Fit.good;
  }

  /** Half of the memory is for what is known to be ours. */
  #roomForUnknown(): boolean {
    return this.#store.free * 2 >= this.#store.blocks;
  }

  /** Keeps the frame as the datagram's last. @returns its place in the store, or -1 */
  #hold(d: number, burst: Burst, i: number): number {
    const store = this.#store;
    if (this.#count[d] === MOST_FRAGMENTS) return -1;
    if (this.#state[d] === State.unknown && !this.#roomForUnknown()) return -1;
    let held = store.hold(burst, i);
    for (let victim = this.table.oldest; held < 0 && victim >= 0; ) {
      const younger = this.table.younger[victim];
      if (victim !== d && this.#first[victim] >= 0) {
        this.#giveUp(victim, Fate.tunnelFragment);
        held = store.hold(burst, i);
      }
      victim = younger;
    }
    if (held < 0) return -1;
    if (this.#first[d] < 0) this.#first[d] = held;
    else store.next[this.#last[d]] = held;
    this.#last[d] = held;
    this.#count[d]++;
    return held;
  }

  /** Before its end: drops what is ours, lets go what is not known to be. */
  #giveUp(d: number, fate: Fate): void {
    if (this.#state[d] === State.ours) this.#dropAll(d, fate);
    else if (this.#state[d] === State.unknown) this.#leave(d);
    this.table.remove(d);
  }

  /** Not ours: what waited leaves, what comes passes. */
  #pass(d: number): void {
    this.#leave(d);
    this.#state[d] = State.passing;
    this.table.discount(d);
  }

  #leave(d: number): void {
    if (this.#first[d] < 0) return;
    if (this.#leaving < 0) this.#leaving = this.#first[d];
    else this.#store.next[this.#leavingLast] = this.#first[d];
    this.#leavingLast = this.#last[d];
    this.#first[d] = -1;
    this.#count[d] = 0;
  }

  /** What waited is dropped, and so is what comes. */
  #kill(d: number, fate: Fate): void {
    this.#dropAll(d, fate);
    this.#state[d] = State.dead;
  }

  /** As #kill, when the packet at hand is held as well. @returns its fate */
  #killAll(d: number, fate: Fate): Fate {
    this.#kill(d, fate);
    this.fates[Fate.waiting] = this.fates[Fate.waiting] + 1;
    this.fates[fate] = this.fates[fate] - 1;
    return fate;
  }

  #dropAll(d: number, fate: Fate): void {
    const { fates } = this;
    fates[Fate.waiting] = fates[Fate.waiting] - this.#count[d];
    fates[fate] = fates[fate] + this.#count[d];
    for (let held = this.#first[d]; held >= 0; ) {
      const next = this.#store.next[held];
      this.#store.release(held);
      held = next;
    }
    this.#first[d] = -1;
    this.#count[d] = 0;
  }

  /** All has come: the whole datagram takes the place of the packet at hand, under the headers of the first fragment. */
  #assemble(d: number, burst: Burst, i: number, { version, tags }: Headers): Fate {
    const store = this.#store;
    const { bytes, halves } = burst.frames;
    const total = this.#total[d];
    let first = this.#first[d];
    while (store.from[first] !== 0) first = store.next[first];
    const front = store.front[first] - (version === 4 ? 0 : Ipv6Fragment.length);
    if (front + total > FRAME_LIMIT) return this.#killAll(d, Fate.noHeadroom);
    const congested = (this.#ecn[d] & (1 << Ecn.ce)) !== 0;
    if (congested && (this.#ecn[d] & (1 << Ecn.notEct)) !== 0) return this.#killAll(d, Fate.ecnDrop);

    const start = slotStart(i);
    const ip = start + Ethernet.length + tags;
    store.copy(first, 0, front, bytes, start);
    if (version === 4) {
      const header = start + front - ip;
      halves[(ip + Ipv4.totalLength) >> 1] = swap16(header + total);
      halves[(ip + Ipv4.flagsFragment) >> 1] &= swap16(Ipv4.dontFragment);
      if (congested) bytes[ip + Ipv4.tos] |= Ecn.ce;
      halves[(ip + Ipv4.checksum) >> 1] = 0;
      halves[(ip + Ipv4.checksum) >> 1] = finish(sum(burst.frames, ip, header));
    } else {
      store.copy(first, front + Ipv6Fragment.nextHeader, 1, bytes, ip + Ipv6.nextHeader);
      halves[(ip + Ipv6.payloadLength) >> 1] = swap16(total);
      if (congested) bytes[ip + 1] |= Ecn.ce << 4;
    }
    for (let held = this.#first[d]; held >= 0; held = store.next[held]) {
      if (store.duplicate[held] === 0) {
        store.copy(held, store.front[held], store.size[held], bytes, start + front + store.from[held]);
      }
    }
    burst.offset[i] = start;
    burst.length[i] = front + total;
    burst.wire[i] = front + total;
    this.#killAll(d, Fate.reassembled);
    this.table.remove(d);
    this.whole = true;
    return Fate.count;
  }
}
