// The shared memory of the tunnel rules: how it is laid out, and how much of it there is.
//
// Lookup is a tuple space search: rules that look at the same bits of a packet have one shape; a shape says which words
// to gather and which bits of them count, and rules of one shape are found by the hash of those words. So the cost of a
// lookup grows with the number of shapes, never with that of rules.
//
// shapes   at most SHAPES of them, in order of rank, in two areas: the generation's lowest bit tells which one holds; control
//          writes the other one, then moves the generation. Workers keep a copy and look at the generation once per burst:
//          whoever begins a burst after a shape was published knows it.
// live     hash chains: slot + 1 of the first rule, or 0. dead: the same, of deleted rules that keep their chain closed.
// ports    by UDP port: which header it announces (Header), or 0.
// records  one per rule slot: link, key, what to do, the header that is put in front. Written while nothing refers to the
//          slot; then published by one Atomics.store to the head or to the record before it. A record takes the place of another one of
//          its chain by such a store too: a reader meets one or the other. An unlinked record keeps its link until the
//          grace period is over, so that a reader that stands in it finds the rest of the chain. The dead chains have a link of
//          their own: a deleted rule is linked there before it leaves the live ones.
// lanes    one array per worker: the tunnel's counters, a cache line per number.

import { DecapFilter } from "./decap-filter.js";
import type { HashKey } from "./flow.js";
import { SKEW } from "./session-memory.js";

/** Where a word of a packet is counted from. */
export const enum Base {
  /** What is known of the packet without its bytes: see Meta. */
  meta,
  /** The outermost Ethernet header. */
  ethernet,
  /** The outermost IP header. */
  ip,
  /** The ESP, Geneve or VXLAN header behind it. */
  header,
  /** Of the frame inside Geneve or VXLAN. */
  innerEthernet,
  innerIp,
  count,
}

/** Words of Base.meta, at byte 4 × the number. */
export const enum Meta {
  /** Port index << 16 | VLAN id of the frame as received. */
  ingress,
  /** Number + 1 of the last tunnel applied (Rule.number), or 0. */
  tunnel,
  /** UDP destination port behind the outermost IP header, or 0. */
  port,
  words,
}

/**
 * What kind of packet it is, as far as rules can tell: the product of four facts. A shape lists the classes that it can
 * match at all.
 */
export const enum Class {
  /** A tunnel was applied already: + tunnel. */
  tunnel = 1,
  /** + ip × (0: not IP, 1: IPv4, 2: IPv6). */
  ip = 2,
  /** + header × Header. */
  header = 6,
  /** + inner × (0: not IP, 1: IPv4, 2: IPv6, 3: shorter than an Ethernet header). */
  inner = 36,
  count = 144,
  /** Of a bit map. */
  words = 5,
}

export const enum Header {
  none,
  esp,
  geneve,
  vxlan,
  /** UDP to a Geneve or VXLAN port, but less of it than a header: only a rule that looks at nothing inside matches. */
  cut,
  /** UDP to ESP's port: one byte 0xff (RFC 3948 section 2.3). */
  keepalive,
  count,
}

/** Shapes of rules that may exist at a time. */
export const SHAPES = 256;
/** Words that a rule can look at, at the most. */
export const KEY_WORDS = 32;

/** Int32 fields of a shape. */
export const enum Shape {
  /** Words to gather. */
  n,
  /** Equal ranks are searched together: the older rule wins. */
  rank,
  /** Number of the shape: part of the hash. */
  id,
  /** Bit map of Class: five words. */
  classes,
  /** n pairs: Base << 16 | byte offset, and the mask. */
  words = 8,
  size = 72,
}

/** Int32 fields of the control block before the two areas of shapes. */
export const enum Control {
  generation,
  /** Shapes in the areas of even and of odd generations: two words. */
  shapes,
  /** Rules published. */
  rules = 3,
  /** Deleted rules that keep their chain closed. */
  tombs,
  size = 16,
}

/** Int32 fields of a record: the first cache line has what every packet of a rule with a short key needs, but for the template. */
export const enum Rule {
  /** Slot + 1 of the next rule of the chain. */
  next,
  hash,
  shape,
  /** See Op. */
  op,
  /** The number of the tunnel's id, as matches on the last tunnel have it (Meta.tunnel). */
  number,
  /** Port to leave by with Next.forward, by the route of the outer destination; -1: the peer. */
  egress,
  /** Bytes of the template behind its Ethernet header. */
  length,
  /** Sum of the template's IPv4 header, or of the IPv6 pseudo-header, with zeros where the packet decides. */
  ipSum,
  /** See Settings. */
  settings,
  /** Where the tunnel's counters are in every worker's array. Survives updates, which change the slot. */
  lane,
  /** Slot of the SA, or -1. */
  sa,
  /** Key: the words of the shape, masked. */
  key,
  /** Order of creation: the smaller is older. */
  age = 43,
  /** As `next`, of the dead chain. */
  nextDead,
  /** Ethernet (14 bytes, then 4 unused), IP, UDP, tunnel header: at 4 × template bytes of the record. */
  template = 48,
  size = 160,
}

/**
 * Where the IP header of the template begins, in bytes from Rule.template: 2 past a multiple of 4, as in front of a frame that was
 * received, so that it is copied by words.
 */
export const TEMPLATE_IP = 18;

/** Rule.op. */
export const enum Op {
  /** Bits 0-7: Procedure. */
  procedureMask = 0xff,
  /** Bits 8-9: Next. */
  nextShift = 8,
  nextMask = 3,
}

export const enum Procedure {
  geneveEncap = 1,
  geneveDecap,
  vxlanEncap,
  vxlanDecap,
  ipsecEnc,
  ipsecDec,
  /** Ends a keepalive of UDP encapsulation (RFC 3948 section 2.3). */
  keepalive,
}

/** Rule.settings. */
export const enum Settings {
  /** The template has MACs of a route. */
  routed = 1,
  /** The outer header is IPv6. */
  ipv6 = 2,
  /** Compute the UDP checksum. */
  checksum = 4,
  /** Accept a UDP checksum of zero over IPv6. */
  zeroChecksum = 8,
  dfSet = 16,
  dfClear = 32,
  /** Do not copy the inner DSCP: the template has it. */
  dscpSet = 64,
  ecnCompatibility = 128,
  keepVlan = 256,
  /** What is carried begins with an IP header, not with Ethernet. */
  ipPayload = 512,
  innerDestination = 1024,
  innerSource = 2048,
  /** ESP in tunnel mode: the template begins with an IP header. */
  tunnelMode = 4096,
  /** ESP in UDP. */
  natt = 8192,
}

/** Bytes of the inner MACs, from Rule.template: destination, source. Used with Settings.innerDestination, innerSource. */
export const TEMPLATE_INNER_MAC = 384;

/** Float64 fields of a lane. */
export const enum TunnelLane {
  inPackets,
  outPackets,
  inBytes,
  outBytes,
  inDrops,
  outDrops,
  inDropBytes,
  outDropBytes,
  words = 8,
  shift = 3,
}

export const MAX_RULES = 1 << 20;

export interface RuleMemory {
  readonly capacity: number;
  /** Records: of live rules, of as many deleted ones, and of those in their grace period. */
  readonly slots: number;
  readonly key: HashKey;
  /** Control, then twice SHAPES shapes. */
  readonly shapes: SharedArrayBuffer;
  readonly live: SharedArrayBuffer;
  readonly dead: SharedArrayBuffer;
  readonly ports: SharedArrayBuffer;
  /** table/decap-filter.ts. */
  readonly decaps: SharedArrayBuffer;
  readonly records: SharedArrayBuffer;
  readonly lanes: readonly SharedArrayBuffer[];
}

/**
 * Allocates it; the kernel hands over the pages as they are first used.
 * @param sas that there may be at a time: a rule that decrypts has a record for each of its own
 */
export function allocateRules(capacity: number, workers: number, key: HashKey, sas = 0): RuleMemory {
  let heads = 16;
  while (heads < (capacity + sas) * 2) heads *= 2;
  const slots = (capacity + sas) * 4 + 64;
  return {
    capacity,
    slots,
    key,
    shapes: new SharedArrayBuffer((Control.size + 2 * SHAPES * Shape.size) * 4),
    live: new SharedArrayBuffer(heads * 4),
    dead: new SharedArrayBuffer(heads * 4),
    ports: new SharedArrayBuffer(65_536),
    decaps: new SharedArrayBuffer(DecapFilter.size()),
    records: new SharedArrayBuffer(SKEW + slots * Rule.size * 4),
    lanes: Array.from({ length: workers }, () => new SharedArrayBuffer(SKEW + slots * TunnelLane.words * 8)),
  };
}
