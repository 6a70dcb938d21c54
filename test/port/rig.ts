// What a port needs of a worker, and captures as others see and write them: scapy is the independent reader and writer.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { SluiceError } from "../../src/errors.js";
import { BURST, Burst } from "../../src/memory/burst.js";
import { Counters } from "../../src/memory/counters.js";
import { Frames, slotStart } from "../../src/memory/frames.js";
import type { Port } from "../../src/port/port.js";

const PYTHON = "/usr/bin/python3";

export interface Packet {
  readonly sec: number;
  readonly nsec: number;
  readonly wire: number;
  readonly hex: string;
}

export interface Received extends Packet {
  readonly port: number;
  readonly time: number;
}

export class Rig {
  readonly burst = new Burst(new Frames(new ArrayBuffer(Frames.size(BURST))));
  readonly counters: Counters;
  readonly told: SluiceError[] = [];
  readonly tell = (error: SluiceError) => void this.told.push(error);

  constructor(ports = 4) {
    this.counters = new Counters(new SharedArrayBuffer(Counters.size(ports)), ports);
  }

  /** One rx into an empty burst. */
  receive(port: Port, now = 0): Received[] {
    const { burst } = this;
    burst.frames.bytes.fill(0xa5);
    burst.reset(now);
    const n = port.rx(burst);
    if (n !== burst.n) throw new Error(`rx returned ${n} and left ${burst.n} in the burst`);
    return Array.from({ length: n }, (_, i) => {
      const at = burst.offset[i] as number;
      if (at !== slotStart(i)) throw new Error(`frame ${i} is not in its slot`);
      return {
        port: burst.port[i] as number,
        time: burst.time[i] as number,
        sec: burst.sec[i] as number,
        nsec: burst.nsec[i] as number,
        wire: burst.wire[i] as number,
        hex: Buffer.from(burst.frames.buffer, at, burst.length[i] as number).toString("hex"),
      };
    });
  }

  /** Until the port has nothing more, at most this many rx; each burst is handed to `sent` before the next. */
  drain(port: Port, each: (n: number) => void = () => {}, rounds = 10_000): Received[] {
    const all: Received[] = [];
    for (let i = 0; i < rounds && port.idle() === 0; i++) {
      const received = this.receive(port);
      all.push(...received);
      each(received.length);
    }
    return all;
  }
}

/** [0, 1, … n-1] */
export function positions(n: number): Int32Array {
  return Int32Array.from({ length: n }, (_, i) => i);
}

export const noScapy = spawnSync(PYTHON, ["-c", "import scapy.utils"]).status === 0 ? false : "needs scapy for /usr/bin/python3";
export const noTshark = spawnSync("tshark", ["--version"]).status === 0 ? false : "needs tshark";

export function python(script: string, ...args: string[]): string {
  return execFileSync(PYTHON, ["-c", script, ...args], { encoding: "utf8", maxBuffer: 1 << 28 });
}

const READ = `
import sys, json
from scapy.utils import RawPcapReader, RawPcapNgReader
def records(path):
    r = RawPcapReader(path)
    for data, m in r:
        if isinstance(r, RawPcapNgReader):
            t = (m.tshigh << 32) + m.tslow
            sec, nsec = divmod(t * 10**9 // m.tsresol, 10**9)
        else:
            sec, nsec = m.sec, m.usec if r.nano else m.usec * 1000
        yield {"sec": sec, "nsec": nsec, "wire": m.wirelen, "hex": data.hex()}
print(json.dumps([list(records(path)) for path in sys.argv[1:]]))
`;

/** The records of each capture as scapy reads them. */
export function scapyReadAll(paths: readonly string[]): Packet[][] {
  return JSON.parse(python(READ, ...paths)) as Packet[][];
}

export function scapyRead(path: string): Packet[] {
  return scapyReadAll([path])[0] as Packet[];
}

/** A pcap written by hand from its format (draft-ietf-opsawg-pcap), in nanoseconds. */
export function writePcap(
  records: readonly { sec: number; nsec: number; data: Uint8Array; wire?: number; captured?: number }[],
  link = 1,
): Buffer {
  const parts = [words(0xa1b23c4d, 0x00040002, 0, 0, 262144, link)];
  for (const { sec, nsec, data, wire = data.length, captured = data.length } of records)
    parts.push(words(sec, nsec, captured, wire), Buffer.from(data));
  return Buffer.concat(parts);
}

function words(...values: number[]): Buffer {
  return Buffer.from(Uint32Array.from(values).buffer);
}

export const SHARED = resolve("../shared/captures");
/** Captures by others; empty where ../shared is missing. */
export const captures = existsSync(SHARED)
  ? readdirSync(SHARED)
      .filter((name) => /\.pcap(ng)?$/.test(name))
      .map((name) => join(SHARED, name))
  : [];
