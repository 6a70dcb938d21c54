// Frames from and to a network interface through AF_PACKET: a mapped receive ring and a transmit socket per worker
// (native/af_packet.cc). Frames go upward complete, tagged and wire-sized (datapath.md "What the kernel hands over"):
//   the VLAN tag that the kernel took out stands in the frame again; an unfinished checksum is finished;
//   a merged frame is segmented from the stage into the burst, as far as that has room: the rest follows in the next rx.
// One native call per rx and per tx. rx stops behind a merged frame, so the stage holds one at most.
//
// Left out: time stamps of the ring (the burst's serves), and SCTP and GRE super-frames, which the kernel itself keeps from
// a socket with PACKET_VNET_HDR and counts as dropped.

import { constants } from "node:os";
import type { AfPacketDriver, PortConfig } from "../config/config.js";
import { SluiceError } from "../errors.js";
import { BURST, type Burst } from "../memory/burst.js";
import { type Counters, PortCounter } from "../memory/counters.js";
import { Frames, HEADROOM, SLOT, slotStart } from "../memory/frames.js";
import { native, type PacketSocket } from "../native.js";
import { Fate } from "../reason.js";
import { swap16 } from "../wire/checksum.js";
import { Ethernet, EtherType, Vlan } from "../wire/ethernet.js";
import { BEGUN, Segmenter } from "./gso.js";
import { rightsError } from "./interface.js";
import { finishChecksum, Gso, Offload } from "./offload.js";
import type { Port } from "./port.js";

/** Words of one record that the native rx writes (enum Meta of native/af_packet.cc). */
const enum Meta {
  length,
  wire,
  status,
  /** TCI, and the TPID in the upper half. */
  vlan,
  /** virtio_net_hdr: flags, type (8 bits each) and size (16). */
  offload,
  /** csum_start, and csum_offset in the upper half. */
  checksum,
  staged,
  spare,
  words,
}

/** tp_status bits of <linux/if_packet.h>. */
const enum Status {
  vlanValid = 0x10,
  tpidValid = 0x40,
}

/** Milliseconds between looks at kernel counters and, when nothing arrives, at the interface. */
const CHECK = 250;
/** Largest merged frame: GSO_MAX_SIZE of the kernel (8 × 65,535) and its headers. */
const STAGE = 8 * 65_535 + 1024;
/** Bytes of a slot that a received frame may fill; the rest is tail. */
const ROOM = SLOT - HEADROOM - 8;

export type AfPacketConfig = PortConfig & { readonly driver: AfPacketDriver };

export interface RingShare {
  /** Workers that open this port; with more than one they form a fanout group. */
  readonly workers: number;
  /** Number of the port's fanout group, 0 … 65,535, unlike that of any other port on the machine. */
  readonly fanout: number;
}

export function openAfPacket(
  port: AfPacketConfig,
  share: RingShare,
  frames: Frames,
  counters: Counters,
  maxFrame: number,
): AfPacketPort {
  return new AfPacketPort(port, share, frames, counters, maxFrame);
}

export class AfPacketPort implements Port {
  readonly index: number;
  fd = -1;
  down = false;
  readonly #name: string;
  readonly #frames: Frames;
  readonly #stage = new Frames(new ArrayBuffer(Math.ceil((HEADROOM + STAGE) / 4) * 4));
  readonly #segmenter = new Segmenter(this.#stage);
  readonly #meta = new Int32Array(BURST * Meta.words);
  /** Offset and length of each frame to send, and the errno that stopped the sending. */
  readonly #plan = new Int32Array(2 * BURST + 1);
  readonly #own: Float64Array;
  readonly #fates: Float64Array;
  readonly #maxFrame: number;
  readonly #open: (ifindex: number) => PacketSocket;
  #socket: PacketSocket | null = null;
  #ifindex = 0;
  #looked = 0;
  #closed = false;

  constructor(port: AfPacketConfig, share: RingShare, frames: Frames, counters: Counters, maxFrame: number) {
    const { driver } = port;
    this.index = port.index;
    this.#name = driver.interface;
    this.#frames = frames;
    this.#own = counters.port(port.index);
    this.#fates = counters.fates;
    this.#maxFrame = maxFrame;
    this.#open = (ifindex) =>
      new native.PacketSocket({
        ifindex,
        fanout: share.workers > 1 ? share.fanout : -1,
        rxFrames: driver.rxFrames,
        rxFrameSize: driver.rxFrameSize,
        rxQueueBytes: driver.rxQueueBytes,
        frames: frames.bytes,
        first: HEADROOM,
        stride: SLOT,
        room: ROOM,
        stage: this.#stage.bytes,
        stageStart: HEADROOM,
        meta: this.#meta,
        plan: this.#plan,
      });
    const ifindex = native.linkIndex(this.#name);
    if (ifindex === 0) {
      throw new SluiceError("interface", `opening port ${port.name}: there is no interface ${this.#name}`);
    }
    try {
      this.#serve(Math.abs(ifindex));
    } catch (cause) {
      throw openError(port, share.fanout, cause);
    }
    this.down = ifindex < 0;
  }

  rx(burst: Burst): number {
    const before = burst.n;
    const due = this.#due(burst.now);
    if (due) this.#countDrops();
    if (this.#segmenter.pending) this.#segment(burst);
    const first = burst.n;
    const room = BURST - first;
    if (room > 0 && !this.#segmenter.pending) {
      const got = this.#socket === null ? 0 : this.#socket.rx(first, room);
      for (let k = 0; k < got; k++) this.#take(burst, first + k, k * Meta.words);
      if (due && (got === 0 || this.down)) this.#check();
    }
    return burst.n - before;
  }

  tx(burst: Burst, list: Int32Array, n: number): number {
    if (this.down) {
      if (this.#due(burst.now)) this.#check();
      if (this.down) return 0;
    }
    if (this.#socket === null) return 0;
    const plan = this.#plan;
    for (let i = 0; i < n; i++) {
      const at = list[i];
      plan[2 * i] = burst.offset[at];
      plan[2 * i + 1] = burst.length[at];
    }
    const done = this.#socket.tx(n);
    let sent = 0;
    let bytes = 0;
    for (let i = 0; i < done; i++) {
      const length = plan[2 * i + 1];
      if (length < 0) {
        burst.fate[list[i]] = Fate.txTooBig;
      } else {
        sent++;
        bytes += length;
      }
    }
    this.#own[PortCounter.txFrames] += sent;
    this.#own[PortCounter.txBytes] += bytes;
    if (done < n) {
      const errno = plan[2 * BURST];
      this.down = errno === constants.errno.ENETDOWN || errno === constants.errno.ENXIO || errno === constants.errno.ENODEV;
    }
    return done;
  }

  idle(): number {
    return 0;
  }

  close(): void {
    this.#release();
    this.#closed = true;
    this.down = true;
  }

  /** Takes the frame that native rx left in slot `slot`, or in the stage, into the burst. */
  #take(burst: Burst, slot: number, record: number): void {
    const meta = this.#meta;
    const own = this.#own;
    let length = meta[record + Meta.length];
    const offload = meta[record + Meta.offload];
    const staged = meta[record + Meta.staged] !== 0;
    const view = staged ? this.#stage : this.#frames;
    let start = staged ? HEADROOM : slotStart(slot);
    own[PortCounter.rxFrames]++;
    own[PortCounter.rxBytes] += meta[record + Meta.wire];
    if (length < meta[record + Meta.wire]) {
      this.#fates[Fate.truncated]++;
      return;
    }

    const status = meta[record + Meta.status];
    const vlan = meta[record + Meta.vlan];
    let moved = 0;
    if ((status & Status.vlanValid) !== 0 || (vlan & 0xffff) !== 0) {
      start -= Vlan.length;
      length += Vlan.length;
      moved = Vlan.length;
      own[PortCounter.rxBytes] += Vlan.length;
      insertTag(view.halves, start, vlan & 0xffff, (status & Status.tpidValid) !== 0 ? vlan >>> 16 : EtherType.vlan);
    }

    const unfinished = (offload & Offload.needsChecksum) !== 0;
    const checksum = meta[record + Meta.checksum];
    const from = (checksum & 0xffff) + moved;
    const type = (offload >>> 8) & 0xff;
    if (type !== Gso.none) {
      const verdict = this.#segmenter.begin(start, length, type, offload >>> 16, unfinished ? from : -1);
      if (verdict !== BEGUN) {
        this.#fates[verdict]++;
        return;
      }
      // Counted by each segment below; the received frame stands for the first.
      own[PortCounter.created]--;
      this.#segment(burst);
      return;
    }
    if (length > this.#maxFrame || staged) {
      this.#fates[Fate.oversize]++;
      return;
    }
    if (unfinished && !finishChecksum(view, start, length, from, checksum >>> 16)) {
      this.#fates[Fate.malformedGso]++;
      return;
    }
    const n = burst.n;
    if (n !== slot) {
      // A frame before it was dropped. The frame at position n lives in slot n.
      const to = slotStart(n) - moved;
      view.bytes.copyWithin(to, start, start + length);
      start = to;
    }
    this.#append(burst, start, length);
  }

  /** Segments of the frame in the stage, as many as the burst takes. */
  #segment(burst: Burst): void {
    const segmenter = this.#segmenter;
    while (segmenter.pending && burst.n < BURST) {
      this.#own[PortCounter.created]++;
      if (segmenter.length > this.#maxFrame) {
        this.#fates[Fate.oversize]++;
        segmenter.skip();
      } else {
        const start = slotStart(burst.n);
        this.#append(burst, start, segmenter.next(this.#frames, start));
      }
    }
  }

  #append(burst: Burst, start: number, length: number): void {
    const n = burst.n++;
    burst.offset[n] = start;
    burst.length[n] = length;
    burst.wire[n] = length;
    burst.port[n] = this.index;
    burst.time[n] = burst.now;
  }

  /** True every CHECK milliseconds, whichever way the clock was set meanwhile. */
  #due(now: number): boolean {
    if (Math.abs(now - this.#looked) < CHECK) return false;
    this.#looked = now;
    return true;
  }

  #countDrops(): void {
    if (this.#socket !== null) this.#own[PortCounter.kernelDrops] += this.#socket.drops();
  }

  /** An interface that was down serves again by itself; one that was deleted and came back needs a new socket. */
  #check(): void {
    if (this.#closed) return;
    const ifindex = native.linkIndex(this.#name);
    if (Math.abs(ifindex) !== this.#ifindex) {
      this.#release();
      if (ifindex > 0) {
        try {
          this.#serve(ifindex);
        } catch {
          // Gone again, or the other members of the old fanout group have not let go of its number yet: next time.
          this.#release();
        }
      }
    }
    this.down = this.#socket === null || ifindex <= 0;
  }

  #serve(ifindex: number): void {
    this.#socket = this.#open(ifindex);
    this.#ifindex = ifindex;
    this.fd = this.#socket.fd;
  }

  #release(): void {
    this.#countDrops();
    this.#socket?.close();
    this.#socket = null;
    this.#ifindex = 0;
    this.fd = -1;
  }
}

/** Makes room for a tag in front of the EtherType: the addresses move to `start`, four bytes before where they stood. */
function insertTag(halves: Uint16Array, start: number, tci: number, tpid: number): void {
  const at = start >> 1;
  for (let i = 0; i < Ethernet.type >> 1; i++) halves[at + i] = halves[at + i + (Vlan.length >> 1)];
  halves[(start + Ethernet.type) >> 1] = swap16(tpid);
  halves[(start + Ethernet.type + Vlan.tci) >> 1] = swap16(tci);
}

function openError(port: AfPacketConfig, fanout: number, cause: unknown): SluiceError {
  const { driver } = port;
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === "EPERM") return rightsError(`opening port ${port.name} on ${driver.interface}`, "CAP_NET_RAW", cause);
  let hint = "";
  if (code === "ENOMEM") {
    hint = `: there is no memory for a ring of ${driver.rxFrames} frames of ${driver.rxFrameSize} bytes; lower rxFrames`;
  } else if ((cause as NodeJS.ErrnoException).syscall === "setsockopt(PACKET_FANOUT)") {
    hint = `: fanout group ${fanout} is in use on another interface, by another process perhaps`;
  }
  return new SluiceError("interface", `opening port ${port.name} on ${driver.interface}: ${(cause as Error).message}${hint}`, {
    cause,
  });
}
