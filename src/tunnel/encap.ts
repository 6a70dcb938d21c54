// Geneve and VXLAN encapsulation (RFC 8926, RFC 7348): copies the rule's prepared header in front of the packet and
// patches what the packet decides: lengths, ECN and DSCP (RFC 6040 section 4.1, RFC 2983), DF, IPv4 identification, entropy source port and
// flow label, checksums.
//
// The frame stays where it is; its start moves into the headroom. VLAN tags move to the outer header, or stay inside.

import type { Burst } from "../memory/burst.js";
import { Fate } from "../reason.js";
import type { RuleLookup } from "../table/rule-lookup.js";
import { Base, Rule, Settings, TEMPLATE_INNER_MAC, TEMPLATE_IP } from "../table/rule-memory.js";
import { finishUdp, pseudo4, pseudo6, sum, swap16 } from "../wire/checksum.js";
import { Ethernet, EtherType } from "../wire/ethernet.js";
import { Ipv4, Protocol } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";
import { Udp } from "../wire/udp.js";
import type { FlowHash } from "./flow-hash.js";
import type { Headers } from "./headers.js";
import type { Identification } from "./identification.js";
import { outerDontFragment, outerTos, writeOuter4 } from "./outer.js";
import { makeRoom, NO_ROOM } from "./room.js";
import { copyTemplate } from "./template.js";

/** First of the source ports (RFC 7348 section 5: the dynamic range), which has this many bits. */
const FIRST_PORT = 49_152;
const PORT_MASK = 0x3fff;
const FLOW_LABEL_MASK = 0xfffff;

export class Encapsulation {
  readonly #tag = new Uint16Array(4);
  // Of the last packet
  /** Whether the outer packet must not be fragmented; over IPv6, which has no such bit, all the same. */
  dontFragment = false;
  /** Bytes that stand before the IP header (or what is in its place) now and did not before. */
  added = 0;
  /** Bytes by which the frame was moved in its slot. */
  moved = 0;

  constructor(
    readonly rules: RuleLookup,
    readonly flowHash: FlowHash,
    readonly identification: Identification,
  ) {}

  /** @returns Fate.count when it is done, or why the packet is dropped */
  apply(burst: Burst, i: number, headers: Headers, slot: number): Fate {
    const { rules } = this;
    const { halves, bytes } = burst.frames;
    const record = slot * Rule.size;
    const settings = rules.records[record + Rule.settings];
    const length = rules.records[record + Rule.length];
    const ipv6 = (settings & Settings.ipv6) !== 0;
    const ipPayload = (settings & Settings.ipPayload) !== 0;
    // Where there is no Ethernet inside, tags cannot stay there.
    const keepVlan = (settings & Settings.keepVlan) !== 0 && !ipPayload;
    const tags = keepVlan || ipPayload ? 0 : headers.tags;
    const outerTags = keepVlan ? 0 : headers.tags;
    const hash = this.flowHash.of(burst, headers);
    const tos = outerTos(settings, headers.version === 0 ? 0 : headers.tos);
    const dontFragment = outerDontFragment(settings, headers);

    // What is carried: from `payload` on, `carried` bytes.
    let start = headers.base[Base.ethernet];
    let payload = ipPayload ? headers.base[Base.ip] : start + tags;
    const carried = (ipPayload ? headers.ipEnd : headers.end) - payload;
    const added = length + Ethernet.length + outerTags;
    this.dontFragment = dontFragment;
    this.added = ipPayload ? length : length + Ethernet.length + headers.tags - tags;
    const needed = added - (payload - start);
    const moved = makeRoom(burst, i, start, payload + carried, Math.max(0, needed), 0);
    if (moved === NO_ROOM) return Fate.noHeadroom;
    this.moved = moved;
    payload += moved;
    start += moved;

    // Out of the way before they are overwritten: the original MACs and tags.
    const macs = start >> 1;
    const m0 = halves[macs];
    const m1 = halves[macs + 1];
    const m2 = halves[macs + 2];
    const m3 = halves[macs + 3];
    const m4 = halves[macs + 4];
    const m5 = halves[macs + 5];
    const tag = this.#tag;
    for (let h = 0; h < outerTags >> 1; h++) tag[h] = halves[((start + Ethernet.type) >> 1) + h];
    if (!ipPayload) {
      const inner = payload >> 1;
      if (tags > 0) writeMacs(halves, inner, m0, m1, m2, m3, m4, m5);
      const own = (record + Rule.template) * 2 + (TEMPLATE_INNER_MAC >> 1);
      if ((settings & Settings.innerDestination) !== 0) {
        for (let h = 0; h < 3; h++) halves[inner + h] = rules.recordHalves[own + h];
      }
      if ((settings & Settings.innerSource) !== 0) {
        for (let h = 3; h < 6; h++) halves[inner + h] = rules.recordHalves[own + h];
      }
    }

    // IP, UDP and tunnel header.
    const ip = payload - length;
    const template = (record + Rule.template) * 2;
    const from = template + (TEMPLATE_IP >> 1);
    copyTemplate(burst.frames, ip, rules, from, length);
    const total = length + carried;
    const udp = ip + (ipv6 ? Ipv6.length : Ipv4.length);
    const udpLength = total - (udp - ip);
    if (total > 0xffff) return Fate.noHeadroom;
    halves[(udp + Udp.sourcePort) >> 1] = swap16(FIRST_PORT | (hash & PORT_MASK));
    halves[(udp + Udp.totalLength) >> 1] = swap16(udpLength);
    if (ipv6) {
      const label = (hash >>> 12) & FLOW_LABEL_MASK;
      bytes[ip] |= tos >>> 4;
      bytes[ip + 1] |= ((tos & 0xf) << 4) | (label >>> 16);
      halves[(ip + 2) >> 1] = swap16(label & 0xffff);
      halves[(ip + Ipv6.payloadLength) >> 1] = swap16(udpLength);
    } else {
      writeOuter4(burst.frames, ip, rules.records[record + Rule.ipSum], total, tos, dontFragment, this.identification);
    }
    if ((settings & Settings.checksum) !== 0) {
      const pseudo = ipv6 ? pseudo6 : pseudo4;
      const covered = pseudo(burst.frames, ip, Protocol.udp, udpLength) + sum(burst.frames, udp, udpLength);
      halves[(udp + Udp.checksum) >> 1] = finishUdp(covered);
    }

    // Ethernet and the tags.
    const ethernet = ip - Ethernet.length - outerTags;
    const eth = ethernet >> 1;
    if ((settings & Settings.routed) !== 0) for (let h = 0; h < 6; h++) halves[eth + h] = rules.recordHalves[template + h];
    else writeMacs(halves, eth, m0, m1, m2, m3, m4, m5);
    for (let h = 0; h < outerTags >> 1; h++) halves[eth + 6 + h] = tag[h];
    halves[(ip - 2) >> 1] = swap16(ipv6 ? EtherType.ipv6 : EtherType.ipv4);
    burst.wire[i] += payload + carried - ethernet - burst.length[i];
    burst.offset[i] = ethernet;
    burst.length[i] = payload + carried - ethernet;
    return Fate.count;
  }
}

function writeMacs(
  halves: Uint16Array,
  at: number,
  m0: number,
  m1: number,
  m2: number,
  m3: number,
  m4: number,
  m5: number,
): void {
  halves[at] = m0;
  halves[at + 1] = m1;
  halves[at + 2] = m2;
  halves[at + 3] = m3;
  halves[at + 4] = m4;
  halves[at + 5] = m5;
}
