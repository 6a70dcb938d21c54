// The native addon, loaded once per thread, with its types. Only src/port and src/aead, and the composition root for memory
// and threads, may call it.

import { createRequire } from "node:module";
import { SluiceError } from "./errors.js";

// Capture files (native/pcap.cc)

/** What a PcapReader keeps in the Float64Array that read() is given. Times as seconds and nanoseconds since the epoch. */
export const enum CaptureState {
  /** When the next record is due, Infinity after the last; at least that late when a filter has much to pass over. */
  nextSec,
  nextNsec,
  /** The first record of the file, whether the filter passes it or not. */
  firstSec,
  firstNsec,
  /** The latest time read so far. */
  lastSec,
  lastNsec,
  /** Records read since the start or the last rewind. */
  records,
  /** Records longer than maxFrame, passed over, and their bytes on the wire; a rewind does not reset them. */
  oversize,
  oversizeBytes,
  /** 1 after the last record. */
  ended,
  /** 1 when error() has something to tell. */
  failed,
  count,
}

export interface PcapReader {
  /**
   * Copies up to `max` records that are not later than the limit to frames at offset[from], offset[from + 1], … and fills
   * in the other arrays. `time` is in milliseconds and never runs backwards; sec and nsec are as they stand in the record.
   */
  read(
    state: Float64Array,
    limitSec: number,
    limitNsec: number,
    from: number,
    max: number,
    frames: Uint8Array,
    offset: Int32Array,
    length: Int32Array,
    wire: Int32Array,
    sec: Float64Array,
    nsec: Int32Array,
    time: Float64Array,
  ): number;
  rewind(): void;
  error(): string;
  close(): void;
}

export interface PcapWriter {
  /** The frames at positions list[0 … n-1], in this order. Throws what the system said when the file takes no more. */
  write(
    list: Int32Array,
    n: number,
    frames: Uint8Array,
    offset: Int32Array,
    length: Int32Array,
    wire: Int32Array,
    sec: Float64Array,
    nsec: Int32Array,
  ): void;
  flush(): void;
  close(): void;
}

export interface Native {
  /** Zeroed, page-aligned memory of this thread alone. */
  frames(bytes: number): ArrayBuffer;
  /** Asks for huge pages under a typed array (of a SharedArrayBuffer too). */
  adviseHuge(view: Uint8Array): boolean;
  /** Ties this thread to a processor. */
  pin(cpu: number): void;
  /** Names this thread for top and perf. */
  name(text: string): void;
  /** Nanoseconds of processor time that this thread has used. */
  cpuTime(): number;

  // af_packet and interfaces (native/af_packet.cc, native/link.cc)
  PacketSocket: new (
    options: PacketSocketOptions,
  ) => PacketSocket;
  /** Opens a packet socket and closes it: throws EPERM without CAP_NET_RAW. */
  probePacket(): void;
  /** The interface as the kernel has it, or null when there is none. */
  link(name: string): NativeLink | null;
  /** Its index when it is up, the negative when it is down, 0 when there is none; cheap. */
  linkIndex(name: string): number;
  links(): string[];
  hasIpv4(name: string): boolean;
  /** Sets and clears IFF_ flags. */
  linkFlags(name: string, set: number, clear: number): void;
  /** An ethtool command of one word; returns the word. */
  ethtool(name: string, command: number, value: number): number;
  addIpv6(ifindex: number, address: Uint8Array, prefix: number): void;
  /** poll(2) for reading on the first n descriptors (at most 256; negative ones are passed over); returns how many are ready. */
  poll(fds: Int32Array, n: number, timeoutMs: number): number;

  /** AEAD providers (native/aead.cc). Throws why there is none. */
  readonly Aead: new (
    provider: "openssl" | "ipsec-mb",
    frames: Uint8Array,
  ) => NativeAead;

  // Capture files (native/pcap.cc)
  /** @param filter libpcap expression, "" for none */
  readonly PcapReader: new (
    path: string,
    filter: string,
    maxFrame: number,
  ) => PcapReader;
  /** @param append behind what is there, whole batches at a time, so that several threads may append to one file */
  readonly PcapWriter: new (
    path: string,
    append: boolean,
  ) => PcapWriter;
}

export interface PacketSocketOptions {
  readonly ifindex: number;
  /** Fanout group, or -1. */
  readonly fanout: number;
  readonly rxFrames: number;
  readonly rxFrameSize: number;
  readonly rxQueueBytes: number;
  /** Frame memory; slot i starts at first + i × stride and takes `room` bytes. */
  readonly frames: Uint8Array;
  readonly first: number;
  readonly stride: number;
  readonly room: number;
  /** Takes one merged frame, from stageStart on. */
  readonly stage: Uint8Array;
  readonly stageStart: number;
  /** Written by rx: eight words per frame. */
  readonly meta: Int32Array;
  /** Read by tx: (offset, length) per frame; the word behind 64 of these is the errno that stopped it. */
  readonly plan: Int32Array;
}

export interface PacketSocket {
  readonly fd: number;
  rx(position: number, room: number): number;
  tx(n: number): number;
  /** Frames that found the ring full since the last call. */
  drops(): number;
  close(): void;
}

/** src/aead/aead.ts says what these do. */
export interface NativeAead {
  readonly name: "openssl" | "ipsec-mb";
  set(context: number, suite: number, key: Uint8Array, salt: Uint8Array): void;
  wipe(context: number): void;
  seal(jobs: Int32Array, n: number): void;
  open(jobs: Int32Array, n: number): void;
  close(): void;
}

export interface NativeLink {
  readonly ifindex: number;
  readonly flags: number;
  /** ARPHRD_ value. */
  readonly type: number;
  readonly mtu: number;
  /** IF_OPER_ value of RFC 2863. */
  readonly operstate: number;
  /** ifindex of its bridge or bond, or 0. */
  readonly master: number;
}

function load(): Native {
  try {
    return createRequire(import.meta.url)("../../build/Release/sluice.node") as Native;
  } catch (cause) {
    throw new SluiceError("addon", "loading the native addon build/Release/sluice.node failed: run `npm run build`", { cause });
  }
}

export const native: Native = load();
