// `sluice run` as a child process in a namespace, and its counters.

import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { StatsResponse } from "../../src/control/gen/sluice.js";
import type { Control } from "./control.js";
import type { Namespaces } from "./namespaces.js";
import type { Remote } from "./remote.js";

export const SLUICE = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** The device's four interfaces: uplinks 1 and 2 with their host ports. */
export const PORTS = [1, 2].flatMap((lif) => ["--port", `lif=${lif},driver=af_packet,interface=up${lif},host=host${lif}`]);

export interface LogLine {
  /** pino's: 30 info, 40 warn, 50 error. */
  readonly level: number;
  readonly time: number;
  readonly msg: string;
  readonly err?: { readonly message: string };
}

export class Device {
  readonly log: LogLine[] = [];
  /** What it wrote to stderr that is no line of the log. */
  errors = "";
  output = "";
  #rest = "";

  constructor(readonly child: ChildProcess) {
    child.stdout?.on("data", (text) => {
      this.output += text;
    });
    child.stderr?.on("data", (text) => this.#read(String(text)));
  }

  get pid(): number {
    return this.child.pid as number;
  }

  static async run(net: Namespaces, args: readonly string[] = PORTS, part = "d"): Promise<Device> {
    const child = net.spawn(part, [process.execPath, SLUICE, "run", ...args], { stdio: ["ignore", "pipe", "pipe"] });
    const device = new Device(child);
    if (!(await within(10_000, () => device.output.includes("gRPC on") || child.exitCode !== null)) || child.exitCode !== null) {
      throw new Error(`sluice run did not start: ${device.errors}`);
    }
    return device;
  }

  /** Waits for a line of the log from the n-th line on. */
  async logged(text: RegExp, from = 0, milliseconds = 5000): Promise<LogLine> {
    const find = () => this.log.slice(from).find(({ msg }) => text.test(msg));
    await within(milliseconds, () => find() !== undefined);
    const line = find();
    if (line === undefined) throw new Error(`not logged: ${text}; the log says ${JSON.stringify(this.log.slice(from))}`);
    return line;
  }

  /** @returns its exit code, or the signal that ended it */
  async stop(signal: NodeJS.Signals = "SIGTERM", milliseconds = 10_000): Promise<number | NodeJS.Signals> {
    const { child } = this;
    if (child.exitCode === null) child.kill(signal);
    return this.ended(milliseconds);
  }

  async ended(milliseconds = 10_000): Promise<number | NodeJS.Signals> {
    const { child } = this;
    const over = () => child.exitCode !== null || child.signalCode !== null;
    if (!(await within(milliseconds, over))) throw new Error(`the device did not end within ${milliseconds} ms`);
    return child.exitCode ?? (child.signalCode as NodeJS.Signals);
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("{")) this.log.push(JSON.parse(line) as LogLine);
      else this.errors += `${line}\n`;
    }
  }
}

export async function within(milliseconds: number, condition: () => boolean | Promise<boolean>): Promise<boolean> {
  const end = Date.now() + milliseconds;
  while (!(await condition())) {
    if (Date.now() > end) return false;
    await sleep(5);
  }
  return true;
}

interface Balanced {
  readonly ports: readonly { role: string; rx_packets: number; created_packets: number; tx_packets: number }[];
  readonly fates: readonly { name: string; kind: string; packets: number }[];
}

/** Resolves when nothing moves any more. */
export async function idle(control: Remote<Control>): Promise<StatsResponse> {
  let before: StatsResponse = await control.stats();
  for (let tries = 0; tries < 100; tries++) {
    await sleep(60);
    const now = await control.stats();
    if (
      now.ports.every((port, i) => port.rxPackets === before.ports[i].rxPackets && port.txPackets === before.ports[i].txPackets)
    ) {
      return now;
    }
    before = now;
  }
  throw new Error("the device is never idle");
}

/** Both sides of datapath.md's equation, from `sluice stats --json` once the device is idle. */
export async function balance(
  net: Namespaces,
  control: Remote<Control>,
  part = "d",
): Promise<{ in: number; out: number; fates: number }> {
  for (let tries = 0; ; tries++) {
    const before = await idle(control);
    const done = net.run(part, [process.execPath, SLUICE, "stats", "--json"]);
    if (done.status !== 0) throw new Error(`sluice stats --json: ${done.stderr}`);
    const { ports, fates } = JSON.parse(done.stdout) as Balanced;
    // A straggler (IPv6 of a host announces itself) in between: again.
    if (tries < 10 && ports.some((port, i) => BigInt(port.rx_packets) !== before.ports[i].rxPackets)) continue;
    const sum = (list: readonly number[]) => list.reduce((total, one) => total + one, 0);
    const kind = (...kinds: string[]) => sum(fates.filter((one) => kinds.includes(one.kind)).map(({ packets }) => packets));
    return {
      in: sum(ports.map((port) => port.rx_packets + port.created_packets)),
      out: sum(ports.map((port) => port.tx_packets)) + kind("drop", "consumed"),
      fates: sum(fates.map(({ packets }) => packets)),
    };
  }
}

/** Packets that met a fate. */
export async function met(control: Remote<Control>, fate: string): Promise<number> {
  return Number((await control.stats()).fates.find(({ name }) => name === fate)?.packets);
}
