// tcpdump in a namespace: what an interface saw, counted by filter afterwards.

import type { ChildProcess } from "node:child_process";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Namespaces } from "./namespaces.js";

export interface Count {
  readonly packets: number;
  /** Of the whole frames, without FCS. */
  readonly bytes: number;
}

/** pcap's file header, and the record header with the captured and the frame's own length last (pcap-savefile(5)). */
const FILE_HEADER = 24;
const RECORD_HEADER = 16;
const SNAP = 128;
/** For what is dissected: frames of an MTU of 1,500 whole. tcpdump's ring has slots of this size. */
export const WHOLE = 2048;
let files = 0;

export class Capture {
  #said = "";

  private constructor(
    readonly file: string,
    readonly child: ChildProcess,
  ) {
    child.stderr?.on("data", (text) => {
      this.#said += text;
    });
  }

  /** Of both directions: filters tell them apart. */
  static async start(net: Namespaces, part: string, name: string, snap = SNAP): Promise<Capture> {
    const file = join(net.directory, `${part}-${name}-${files++}.pcap`);
    // Immediate mode: nothing waits in a block of the ring when it is stopped.
    const options = `-i ${name} -n -s ${snap} -B 32768 --immediate-mode -Z root -w ${file}`;
    const child = net.spawn(part, ["tcpdump", ...options.split(" ")], { stdio: ["ignore", "ignore", "pipe"] });
    const capture = new Capture(file, child);
    for (let tries = 0; !capture.#said.includes("listening on"); tries++) {
      if (tries === 500 || child.exitCode !== null) throw new Error(`tcpdump on ${name} in ${part}: ${capture.#said}`);
      await sleep(10);
    }
    return capture;
  }

  /** Ends the capture when it has taken all that came; fails when tcpdump missed something. */
  async stop(): Promise<void> {
    await sleep(150);
    let [captured, received, dropped] = await this.#counts("SIGUSR1");
    for (let tries = 0; captured !== received && tries < 100; tries++) {
      await sleep(20);
      [captured, received, dropped] = await this.#counts("SIGUSR1");
    }
    // What comes between the two looks, and is left behind, came after the capture's end.
    const closed = once(this.child, "close");
    const last = await this.#counts("SIGINT");
    await closed;
    if (dropped !== 0 || last[2] !== 0 || captured !== received) {
      throw new Error(`tcpdump missed packets: ${captured} of ${received}, dropped ${dropped}\n${this.#said}`);
    }
  }

  /** Packets captured, received by the filter and dropped, as tcpdump says at a signal. */
  async #counts(signal: "SIGUSR1" | "SIGINT"): Promise<number[]> {
    this.#said = "";
    this.child.kill(signal);
    for (let tries = 0; !this.#said.includes("by kernel"); tries++) {
      if (tries === 500) throw new Error(`tcpdump does not answer ${signal}: ${this.#said}`);
      await sleep(10);
    }
    return ["captured", "received by filter", "dropped by kernel"].map((what) =>
      Number(new RegExp(`(\\d+) packets? ${what}`).exec(this.#said)?.[1]),
    );
  }

  /** Frames that a filter of pcap-filter(7) passes. */
  count(filter: string): Count {
    let packets = 0;
    let bytes = 0;
    for (const { length } of this.#records(filter)) {
      packets++;
      bytes += length;
    }
    return { packets, bytes };
  }

  /** The same, as they were captured. */
  frames(filter: string): Buffer[] {
    return Array.from(this.#records(filter), ({ frame }) => frame);
  }

  *#records(filter: string): Generator<{ readonly length: number; readonly frame: Buffer }> {
    const done = spawnSync("tcpdump", ["-r", this.file, "-w", "-", filter], { maxBuffer: 1 << 29 });
    if (done.status !== 0) throw new Error(`tcpdump -r, filter ${filter}: ${done.stderr}`);
    const { stdout } = done;
    for (let at = FILE_HEADER; at < stdout.length; ) {
      const from = at + RECORD_HEADER;
      const length = stdout.readUInt32LE(at + 12);
      at = from + stdout.readUInt32LE(at + 8);
      yield { length, frame: stdout.subarray(from, at) };
    }
  }
}
