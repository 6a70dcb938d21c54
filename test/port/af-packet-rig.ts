// What the af_packet tests have in common: an opened port that is driven by hand, and a tap device on its other side.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { AfPacketDriver } from "../../src/config/config.js";
import { BURST, Burst } from "../../src/memory/burst.js";
import { Counters, PortCounter } from "../../src/memory/counters.js";
import { Frames, slotStart } from "../../src/memory/frames.js";
import { native } from "../../src/native.js";
import { type AfPacketPort, openAfPacket } from "../../src/port/af-packet.js";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

export function ip(command: string): string {
  return execFileSync("ip", command.split(" ")).toString();
}

export function driver(name: string, more: Partial<AfPacketDriver> = {}): AfPacketDriver {
  const usual = { force: false, rxFrames: 1024, rxFrameSize: 2048, rxQueueBytes: 8 << 20 };
  return { driver: "af_packet", interface: name, ...usual, ...more };
}

export class Rig {
  readonly burst = new Burst(new Frames(native.frames(Frames.size(BURST))));
  readonly counters = new Counters(new SharedArrayBuffer(Counters.size(1)), 1);
  readonly port: AfPacketPort;
  /** Where each frame received lay in its burst. */
  readonly positions: number[] = [];

  constructor(
    name: string,
    { more = {}, workers = 1, maxFrame = 9216 }: { more?: Partial<AfPacketDriver>; workers?: number; maxFrame?: number } = {},
  ) {
    const config = { index: 0, name: "1", role: "uplink", lif: 1, peer: -1, host: -1, driver: driver(name, more) } as const;
    this.port = openAfPacket(config, { workers, fanout: 4711 }, this.burst.frames, this.counters, maxFrame);
  }

  count(counter: PortCounter): number {
    return this.counters.port(0)[counter];
  }

  /** One rx into an emptied burst. */
  rx(): Uint8Array[] {
    this.burst.reset(Date.now());
    const n = this.port.rx(this.burst);
    const { frames, offset, length } = this.burst;
    const got: Uint8Array[] = [];
    for (let i = 0; i < n; i++) {
      this.positions.push(Math.floor(offset[i] / (slotStart(1) - slotStart(0))) - i);
      got.push(frames.bytes.slice(offset[i], offset[i] + length[i]));
    }
    return got;
  }

  /** All frames up to the first 100 ms of silence after at least `n`, or 2 s. */
  async receive(n: number): Promise<Uint8Array[]> {
    const got: Uint8Array[] = [];
    const end = Date.now() + 2000;
    for (let quiet = 0; Date.now() < end && (got.length < n || quiet < 10); quiet++) {
      const more = this.rx();
      got.push(...more);
      if (more.length > 0) quiet = 0;
      else await sleep(10);
    }
    return got;
  }

  /** Sends frames as one burst; returns how many are done with. */
  tx(frames: readonly Uint8Array[]): number {
    this.burst.reset(Date.now());
    const list = new Int32Array(BURST);
    frames.forEach((frame, i) => {
      this.burst.frames.bytes.set(frame, slotStart(i));
      this.burst.length[i] = frame.length;
      this.burst.fate[i] = 0;
      list[i] = i;
    });
    this.burst.n = frames.length;
    return this.port.tx(this.burst, list, frames.length);
  }

  /** The port's half of datapath.md's equation: what came in or was created was handed up or dropped by name. */
  balance(handed: number): number {
    const dropped = this.counters.fates.reduce((sum, one) => sum + one, 0);
    return this.count(PortCounter.rxFrames) + this.count(PortCounter.created) - handed - dropped;
  }
}

export class Tap {
  readonly sent: Uint8Array[] = [];
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  static async make(name: string, mtu = 9202): Promise<Tap> {
    const child = spawn("/usr/bin/python3", [`${ROOT}test/port/tap_device.py`, name, String(mtu)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const tap = new Tap(child);
    await new Promise<void>((resolve) => {
      createInterface(child.stdout).on("line", (line) => {
        if (line === "ready") resolve();
        else if (!line.startsWith("refused")) tap.sent.push(Buffer.from(line, "hex"));
      });
    });
    ip(`link set ${name} arp off`);
    native.linkFlags(name, 0, 0);
    return tap;
  }

  /** The interface receives these, with this struct virtio_net_hdr in front of each. */
  give(frames: readonly Uint8Array[], offload: Uint8Array = new Uint8Array(10)): void {
    const head = Buffer.from(offload).toString("hex");
    this.#process.stdin?.write(frames.map((frame) => `${head} ${Buffer.from(frame).toString("hex")}\n`).join(""));
  }

  /** What the interface sent, once there are n frames or a second has passed. */
  async take(n: number): Promise<Uint8Array[]> {
    for (let i = 0; i < 100 && this.sent.length < n; i++) await sleep(10);
    return this.sent.splice(0);
  }

  async remove(): Promise<void> {
    const gone = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.stdin?.end();
    await gone;
  }
}

/** struct virtio_net_hdr. */
export function offload(flags: number, type: number, header: number, size: number, start: number, offset: number): Uint8Array {
  const made = Buffer.alloc(10);
  made[0] = flags;
  made[1] = type;
  for (const [i, value] of [header, size, start, offset].entries()) made.writeUInt16LE(value, 2 + 2 * i);
  return made;
}

/** A frame of `length` bytes that no stack knows (EtherType 0x88b5, for experiments), each byte known. */
export function frame(length: number, number = 0): Buffer {
  const made = Buffer.alloc(length, number);
  Buffer.from([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]).copy(made);
  for (let i = 14; i < length; i++) made[i] = i * 7 + (i >> 8) + number;
  return made;
}

/** The same with VLAN tags in front of the type: [TPID, TCI] from the outside in. */
export function tagged(untagged: Buffer, ...tags: [number, number][]): Buffer {
  const parts = tags.map(([tpid, tci]) => Buffer.from([tpid >> 8, tpid & 255, tci >> 8, tci & 255]));
  return Buffer.concat([untagged.subarray(0, 12), ...parts, untagged.subarray(12)]);
}
