// One burst of frames on its way through a worker, as a structure of arrays: every stage loops over it once.
// The arrays are made once per worker and reused for each burst; nothing here is allocated per packet.

import { type Frames, slotStart } from "./frames.js";

/** Frames in one burst at the most. */
export const BURST = 64;
/** Frames that the device makes beside them at the most, before it sends what there is. */
export const MADE = 64;
/** Position i of a burst has slot i of the frame memory: received frames the first BURST of them, made ones the rest. */
export const POSITIONS = BURST + MADE;

/** What parse found; the bits of `Burst.kind`. */
export const enum Kind {
  ipv4 = 1,
  ipv6 = 2,
  tcp = 4,
  udp = 8,
  /** Has a 5-tuple that a session may hold (datapath.md "Hits"). */
  flow = 16,
  /** TCP with SYN, FIN or RST. */
  control = 32,
}

export class Burst {
  /** Frames in the burst. */
  n = 0;
  /** Milliseconds since the epoch at which the burst was received; the capture's clock in replay. */
  now = 0;
  /** Whether `sec` and `nsec` hold capture time stamps (the source of a replay sets it). */
  stamped = false;

  // Written by Port.rx
  /** Byte offset of the frame in `frames`. */
  readonly offset = new Int32Array(POSITIONS);
  /** Bytes of the frame that are there. */
  readonly length = new Int32Array(POSITIONS);
  /** Bytes that the frame had on the wire: more than `length` only for records of truncated captures. */
  readonly wire = new Int32Array(POSITIONS);
  /** Index of the port that the frame came in on. */
  readonly port = new Int32Array(POSITIONS);
  /** Time of the frame in milliseconds since the epoch (its own in replay, the burst's otherwise). */
  readonly time = new Float64Array(POSITIONS);
  readonly sec = new Float64Array(POSITIONS);
  readonly nsec = new Int32Array(POSITIONS);

  // Written by the stages
  /** Bits of Kind. */
  readonly kind = new Int32Array(POSITIONS);
  /** lif, VLAN id, IP version and protocol as table/flow.ts packs them; only with Kind.flow. */
  readonly flow = new Int32Array(POSITIONS);
  /** Byte offset of the IP header in `frames`. */
  readonly l3 = new Int32Array(POSITIONS);
  /** Byte offset of the TCP or UDP header in `frames`. */
  readonly l4 = new Int32Array(POSITIONS);
  /** Keyed hash of the flow. */
  readonly hash = new Int32Array(POSITIONS);
  /** Session slot × 2 + direction, or -1. */
  readonly ref = new Int32Array(POSITIONS);
  /** Index of the port to leave by, or -1. */
  readonly egress = new Int32Array(POSITIONS);
  /** What became of the frame: a Fate of src/reason.ts. */
  readonly fate = new Int32Array(POSITIONS);

  // Frames that the device makes of those that came in, at the positions from BURST on
  /** How many there are. */
  made = 0;
  /** Position of the frame that it was made of; never falls. Its port, time and time stamps are copied by \`make\`. */
  readonly parent = new Int32Array(POSITIONS);

  constructor(readonly frames: Frames) {}

  /** Empties the burst and points every position at the start of its slot. */
  reset(now: number): void {
    this.n = 0;
    this.made = 0;
    this.now = now;
    this.stamped = false;
    for (let i = 0; i < BURST; i++) this.offset[i] = slotStart(i);
  }
  /** Takes the next position for a frame that is made of the one at `parent`. There must be room. @returns the position */
  make(parent: number): number {
    const m = BURST + this.made++;
    this.parent[m] = parent;
    this.port[m] = this.port[parent];
    this.time[m] = this.time[parent];
    this.sec[m] = this.sec[parent];
    this.nsec[m] = this.nsec[parent];
    this.offset[m] = slotStart(m);
    return m;
  }

  /** The frame at a position of `make` lies at `offset` and is this long. */
  place(m: number, offset: number, length: number): void {
    this.offset[m] = offset;
    this.length[m] = length;
    this.wire[m] = length;
  }
}
