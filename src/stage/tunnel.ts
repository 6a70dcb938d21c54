// Tunnel stage: takes each packet through the tunnels whose rules it matches, before the session table sees it
// (datapath.md "Tunnel stage").
//
// One packet at a time: matched, taken through its tunnel, and with RECIRCULATE matched again as it is then. Those that come to an
// IPsec tunnel wait there for the rest of the burst, so that the AEAD provider is called once for all. Sets the fate of every packet that
// is decided here, Fate.count on those that go on to the forwarding logic.

import type { Aead } from "../aead/aead.js";
import { BURST, type Burst } from "../memory/burst.js";
import { Fate } from "../reason.js";
import type { Routes } from "../table/route.js";
import { Next } from "../table/rule.js";
import type { RuleLookup } from "../table/rule-lookup.js";
import { Base, Op, Procedure, Rule, Settings, TunnelLane } from "../table/rule-memory.js";
import type { SaLookup } from "../table/sa-lookup.js";
import { Decapsulation } from "../tunnel/decap.js";
import { Encapsulation } from "../tunnel/encap.js";
import { Esp } from "../tunnel/esp.js";
import { EspAudit } from "../tunnel/esp-audit.js";
import { FlowHash } from "../tunnel/flow-hash.js";
import { Headers } from "../tunnel/headers.js";
import { Identification } from "../tunnel/identification.js";
import { Origins } from "../tunnel/origin.js";
import { Reassembly, type ReassemblyOptions } from "../tunnel/reassembly.js";
import { be16 } from "../wire/bytes.js";
import { behindTags, Ethernet, EtherType, isTag, Vlan } from "../wire/ethernet.js";
import { Ipv4, Protocol } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";
import { TooBig, type TooBigOptions } from "./too-big.js";
import { Role, type Topology } from "./topology.js";

/** Tunnels that a packet may go through (datapath.md). */
const MAX_TUNNELS = 8;
/** Geneve control packets per second and worker that the application is given. */
const CONTROL_RATE = 100;

/** In place of a fate: decided later. */
const WAITS = -1;
/** More than ESP makes a packet longer by. */
const ESP_MARGIN = 128;

export { EspAudit, type ReassemblyOptions };
export interface ReassemblyPlan extends ReassemblyOptions {
  /** By Fate, of this worker. */
  readonly fates: Float64Array;
}

export class TunnelStage {
  /** Of the packet in hand, one of the following. */
  #headers = new Headers();
  /** By position; the first of them for all positions where searches are not begun for the burst. */
  readonly #all = Array.from({ length: BURST }, () => new Headers());
  readonly #encapsulation: Encapsulation;
  readonly #decapsulation: Decapsulation;
  readonly #origins = new Origins();
  readonly reassembly: Reassembly | undefined;
  readonly esp: Esp | undefined;
  /** What becomes of packets that are too big for their port afterwards. */
  readonly tooBig: TooBig;
  /** Whether the frames are fragments that reassembly has let go: they take the miss path as they are. */
  released = false;
  /** Positions of packets that wait for ESP, in the order in which they came to it. */
  readonly #waiting = new Int32Array(BURST);
  #waits = 0;
  // By position
  /** As Meta.ingress. */
  readonly #ingress = new Int32Array(BURST);
  /** Of what waits: its rule's slot, tunnels before this one, bytes before it on the wire, whether it may be fragmented then. */
  readonly #slot = new Int32Array(BURST);
  readonly #tunnels = new Int32Array(BURST);
  readonly #before = new Int32Array(BURST);
  readonly #fragmentable = new Uint8Array(BURST);
  /** Control packets that may pass before #controlUntil, ms. */
  #controlLeft = 0;
  #controlUntil = 0;

  constructor(
    readonly rules: RuleLookup,
    readonly routes: Routes,
    readonly topology: Topology,
    worker: number,
    workers: number,
    tooBig: TooBigOptions = { icmpRate: 0 },
    /** Absent: fragments are dropped under the rule of a decapsulation. */
    reassembly?: ReassemblyPlan,
    /** Absent: packets of IPsec tunnels are dropped. */
    ipsec?: { readonly sas: SaLookup; readonly aead: Aead; readonly audit?: EspAudit },
  ) {
    const identification = new Identification(worker, workers, rules.key);
    this.#encapsulation = new Encapsulation(rules, new FlowHash(rules.key), identification);
    this.tooBig = new TooBig(topology, this.#origins, identification, rules.lanes, tooBig);
    this.#decapsulation = new Decapsulation(rules);
    if (ipsec !== undefined) this.esp = new Esp(rules, ipsec.sas, ipsec.aead, identification, ipsec.audit);
    if (reassembly !== undefined) this.reassembly = new Reassembly(rules.decaps, reassembly, rules.key, reassembly.fates);
  }

  /** @returns false when there are no rules: nothing was looked at, and no fate is set */
  run(burst: Burst): boolean {
    this.#origins.encapsulated = 0;
    this.esp?.contexts.refresh();
    if (!this.rules.refresh() || this.released) return false;
    const { n, fate, port } = burst;
    const { role } = this.topology;
    const begun = this.rules.many;
    if (begun) this.#begin(burst);
    for (let i = 0; i < n; i++) fate[i] = role[port[i]] === Role.named ? Fate.count : this.#packet(burst, i, begun);
    if (this.esp !== undefined) while (this.#waits > 0) this.#goOn(burst, this.esp);
    return true;
  }

  /** Reads the headers of all, and begins the searches for their first rules. */
  #begin(burst: Burst): void {
    const { rules } = this;
    const { halves } = burst.frames;
    for (let i = 0; i < burst.n; i++) {
      if (burst.length[i] < Ethernet.length) continue;
      const headers = this.#all[i];
      headers.read(burst, i, rules.ports, ingressOf(burst, i), 0);
      rules.begin(i, halves, headers.base, headers.kind);
    }
    const sas = rules.touch(burst.n);
    if (sas > 0) this.esp?.contexts.sas.touch(rules.sas, sas);
  }

  /** Takes a packet through the encapsulation of one rule, whatever it matches, and straight out. */
  through(burst: Burst, i: number, slot: number): Fate {
    const { rules } = this;
    this.#headers.read(burst, i, rules.ports, 0, 0);
    const record = slot * Rule.size;
    const lane = rules.records[record + Rule.lane] << TunnelLane.shift;
    const fate = this.#apply(burst, i, slot, rules.records[record + Rule.op] & Op.procedureMask, lane);
    return fate === Fate.count ? this.#straightOut(burst, i, record, lane) : fate;
  }

  #packet(burst: Burst, i: number, searching: boolean): Fate | typeof WAITS {
    this.#headers = this.#all[searching ? i : 0];
    // No Ethernet header: no rule is for it.
    if (burst.length[i] < Ethernet.length) return Fate.count;
    this.#origins.begin(i);
    this.#ingress[i] = ingressOf(burst, i);
    return this.#walk(burst, i, 0, 0, 0, false, searching ? i : -1);
  }

  /**
   * From one tunnel to the next.
   * @param tunnels gone through so far
   * @param last number + 1 of the last of them (Rule.number), or 0; and its lane
   * @param fragmentable whether that put a header in front that may be fragmented
   * @param begun position for which the headers are read and the search was begun, or -1
   * @returns what becomes of the packet; WAITS while it waits for ESP
   */
  #walk(
    burst: Burst,
    i: number,
    tunnels: number,
    last: number,
    lane: number,
    fragmentable: boolean,
    begun: number,
  ): Fate | typeof WAITS {
    const { rules } = this;
    const { records } = rules;
    const headers = this.#headers;
    const { halves } = burst.frames;
    const ingress = this.#ingress[i];
    const origins = this.#origins;
    const { limited } = this.topology;
    for (; ; tunnels++) {
      if (begun < 0) headers.read(burst, i, rules.ports, ingress, last);
      // What IPv6 has no bit for passes from one header of ours to the next.
      if (fragmentable) headers.dontFragment = false;
      const slot = rules.find(halves, headers.base, headers.kind, begun);
      begun = -1;
      if (headers.fragment && last === 0) {
        const fate = this.#fragment(burst, i, ingress, slot);
        if (fate !== Fate.count) return fate;
        if (this.reassembly?.whole) {
          tunnels = -1;
          continue;
        }
      }
      if (last !== 0 && rules.deadBefore(slot, halves, headers.base, headers.kind))
        return this.#dropAfter(lane, burst, i, Fate.failClosed);
      if (slot < 0) return Fate.count;
      if (tunnels === MAX_TUNNELS) return this.#dropAfter(lane, burst, i, Fate.tooManyTunnels);
      const record = slot * Rule.size;
      const op = records[record + Rule.op];
      lane = records[record + Rule.lane] << TunnelLane.shift;
      const next = (op >>> Op.nextShift) & Op.nextMask;
      const procedure: Procedure = op & Op.procedureMask;
      const encap = isEncap(procedure);
      if (limited && (encap || next === Next.recirculate)) {
        if (last === 0) origins.keep(burst, i, headers);
        if (!encap) origins.keepBytes(burst, i, headers);
        if (procedure >= Procedure.ipsecEnc) {
          // What later tunnels add is not known yet.
          const near = next === Next.recirculate || burst.length[i] + ESP_MARGIN > this.topology.leastMtu;
          origins.keepClear(burst, i, near);
        }
      }
      if (procedure >= Procedure.ipsecEnc) return this.#beginEsp(burst, i, slot, procedure, lane, tunnels);
      const fate = this.#apply(burst, i, slot, procedure, lane);
      if (fate !== Fate.count) return fate;
      fragmentable = encap && !this.#encapsulation.dontFragment;
      if (limited && encap) origins.push(i, lane, this.#encapsulation, procedure);
      else if (limited) origins.pop(i, headers.base[Base.innerIp] - headers.base[Base.ip], false);
      if (next === Next.none) return Fate.count;
      if (next === Next.forward) return this.#straightOut(burst, i, record, lane);
      last = records[record + Rule.number] + 1;
    }
  }

  /** The packet waits, or its fate is decided. */
  #beginEsp(burst: Burst, i: number, slot: number, procedure: Procedure, lane: number, tunnels: number): Fate | typeof WAITS {
    const { topology, esp } = this;
    const origins = this.#origins;
    const before = burst.wire[i];
    if (procedure === Procedure.keepalive) {
      this.#count(lane, before, Fate.espKeepalive, 0);
      return Fate.espKeepalive;
    }
    const fate = esp === undefined ? Fate.espNoSa : esp.prepare(burst, i, this.#headers, slot, procedure);
    if (fate !== Fate.count) {
      this.#count(lane, before, fate, 0);
      return fate;
    }
    // A decryption that fails leaves the packet as long as it was.
    let fragmentable = 0;
    if (esp !== undefined && procedure === Procedure.ipsecEnc) {
      fragmentable = esp.seal.dontFragment ? 0 : 1;
      if (topology.limited) origins.push(i, lane, esp.seal, procedure);
    }
    this.#waiting[this.#waits++] = i;
    this.#slot[i] = slot;
    this.#tunnels[i] = tunnels;
    this.#before[i] = before;
    this.#fragmentable[i] = fragmentable;
    return WAITS;
  }

  /** Encrypts and decrypts what waits, and takes it further: until it waits for its next tunnel, or its fate is decided. */
  #goOn(burst: Burst, esp: Esp): void {
    const { records } = this.rules;
    const { fate } = burst;
    const n = this.#waits;
    this.#waits = 0;
    esp.run();
    this.#headers = this.#all[0];
    // Those that wait again take places in the list that were read already.
    for (let k = 0; k < n; k++) {
      const i = this.#waiting[k];
      const slot = this.#slot[i];
      const record = slot * Rule.size;
      const op = records[record + Rule.op];
      const lane = records[record + Rule.lane] << TunnelLane.shift;
      const procedure: Procedure = op & Op.procedureMask;
      const result = esp.finish(burst, i, slot, procedure);
      this.#count(lane, this.#before[i], result, burst.wire[i]);
      if (result !== Fate.count) {
        fate[i] = result;
        continue;
      }
      if (this.topology.limited && procedure === Procedure.ipsecDec) this.#origins.pop(i, esp.open.removed, true);
      const next = (op >>> Op.nextShift) & Op.nextMask;
      if (next === Next.none) fate[i] = Fate.count;
      else if (next === Next.forward) fate[i] = this.#straightOut(burst, i, record, lane);
      else {
        const last = records[record + Rule.number] + 1;
        fate[i] = this.#walk(burst, i, this.#tunnels[i] + 1, last, lane, this.#fragmentable[i] === 1, -1);
      }
    }
  }

  /** As Reassembly.take. */
  #fragment(burst: Burst, i: number, ingress: number, slot: number): Fate {
    const { reassembly } = this;
    if (reassembly === undefined) return Fate.count;
    reassembly.whole = false;
    const { protocol } = this.#headers;
    if (protocol !== Protocol.udp && protocol !== Protocol.esp) return Fate.count;
    const ours = slot >= 0 && !isEncap(this.rules.records[slot * Rule.size + Rule.op] & Op.procedureMask);
    return reassembly.take(burst, i, this.#headers, ingress, ours);
  }

  #apply(burst: Burst, i: number, slot: number, procedure: Procedure, lane: number): Fate {
    const headers = this.#headers;
    const length = burst.wire[i];
    let fate = isEncap(procedure)
      ? this.#encapsulation.apply(burst, i, headers, slot)
      : this.#decapsulation.apply(burst, i, headers, slot, procedure === Procedure.vxlanDecap);
    if (fate === Fate.geneveControl) {
      fate = this.#control(burst, i);
      // Not the tunnel's: the application counts it.
      if (fate === Fate.geneveControl) return fate;
    }
    this.#count(lane, length, fate, burst.wire[i]);
    return fate;
  }

  /** What a tunnel received, and what it made of that. @param before, after bytes on the wire */
  #count(lane: number, before: number, fate: Fate, after: number): void {
    const { lanes } = this.rules;
    lanes[lane + TunnelLane.inPackets] = lanes[lane + TunnelLane.inPackets] + 1;
    lanes[lane + TunnelLane.inBytes] = lanes[lane + TunnelLane.inBytes] + before;
    if (fate === Fate.count) {
      lanes[lane + TunnelLane.outPackets] = lanes[lane + TunnelLane.outPackets] + 1;
      lanes[lane + TunnelLane.outBytes] = lanes[lane + TunnelLane.outBytes] + after;
    } else if (fate !== Fate.espKeepalive && fate !== Fate.espDummy) {
      lanes[lane + TunnelLane.inDrops] = lanes[lane + TunnelLane.inDrops] + 1;
      lanes[lane + TunnelLane.inDropBytes] = lanes[lane + TunnelLane.inDropBytes] + before;
    }
  }

  /** To the (outer) destination's route, else to the peer of the port that it came in on. */
  #straightOut(burst: Burst, i: number, record: number, lane: number): Fate {
    const { records } = this.rules;
    const { bytes, halves } = burst.frames;
    const start = burst.offset[i];
    if ((records[record + Rule.settings] & Settings.routed) !== 0) {
      burst.egress[i] = records[record + Rule.egress];
      return Fate.tunneled;
    }
    // For an outer destination of ours, compile() has asked already.
    const asked =
      records[record + Rule.length] > 0 &&
      ((records[record + Rule.op] & Op.procedureMask) !== Procedure.ipsecEnc ||
        (records[record + Rule.settings] & Settings.tunnelMode) !== 0);
    const route = asked || this.routes.size === 0 ? -1 : this.#route(burst, i);
    if (route >= 0) {
      this.routes.write(route, halves, start);
      burst.egress[i] = this.routes.port[route];
      return Fate.tunneled;
    }
    const peer = this.topology.peer[burst.port[i]];
    // A group address of the original frame is not the tunnel's.
    if (peer < 0 || (bytes[start] & 1) !== 0) return this.#dropAfter(lane, burst, i, Fate.noRoute);
    burst.egress[i] = peer;
    return Fate.tunneled;
  }

  #route(burst: Burst, i: number): number {
    const { bytes } = burst.frames;
    const end = burst.offset[i] + burst.length[i];
    const at = behindTags(bytes, burst.offset[i], end);
    const type = be16(bytes, at - 2);
    if (type === EtherType.ipv4 && at + Ipv4.length <= end) return this.routes.findAt(bytes, at + Ipv4.destination, 4);
    if (type === EtherType.ipv6 && at + Ipv6.length <= end) return this.routes.findAt(bytes, at + Ipv6.destination, 16);
    return -1;
  }

  #control(burst: Burst, i: number): Fate {
    if (burst.now >= this.#controlUntil) {
      this.#controlUntil = burst.now + 1000;
      this.#controlLeft = CONTROL_RATE;
    }
    if (this.#controlLeft === 0) return Fate.geneveControlLimited;
    this.#controlLeft--;
    burst.egress[i] = this.topology.miss[burst.port[i]];
    return Fate.geneveControl;
  }

  /** Dropped with nowhere to go: counted where it came out of last. */
  #dropAfter(lane: number, burst: Burst, i: number, fate: Fate): Fate {
    const { lanes } = this.rules;
    lanes[lane + TunnelLane.outDrops] = lanes[lane + TunnelLane.outDrops] + 1;
    lanes[lane + TunnelLane.outDropBytes] = lanes[lane + TunnelLane.outDropBytes] + burst.wire[i];
    return fate;
  }
}

function isEncap(procedure: Procedure): boolean {
  return procedure === Procedure.geneveEncap || procedure === Procedure.vxlanEncap || procedure === Procedure.ipsecEnc;
}

/** As Meta.ingress: the frame as received. */
function ingressOf(burst: Burst, i: number): number {
  const { bytes } = burst.frames;
  const start = burst.offset[i];
  let vlan = 0;
  if (burst.length[i] >= Ethernet.length + Vlan.length) {
    const type = be16(bytes, start + Ethernet.type);
    if (isTag(type)) vlan = be16(bytes, start + Ethernet.length) & Vlan.idMask;
  }
  return (burst.port[i] << 16) | vlan;
}
