// `control/blocked-time`: what programming sessions costs the packets. A device with two workers forwards half of the rate that
// it can forward, alone and while a client adds sessions as fast as the device takes them. Reported are the packets lost
// meanwhile ÷ the rate at which they were offered, in milliseconds of `seconds`, and the loss in percent of both.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { end, Net, says, unavailable } from "../net.js";
import { type Bench, type BenchOptions, type Result, result } from "../result.js";
import { type LoadProcess, startLoad } from "./process.js";

const PORT = 3443;
const CAPACITY = 4_194_304;
/** Sessions of one request to the load generator. */
const PART = 262_144;
const SECONDS = 3;

const NAME = "control/blocked-time";

export const blockedBench: Bench = {
  names: [NAME, ...["loss", "loss-alone", "offered", "add"].map((what) => `${NAME}/${what}`)],
  unavailable,
  run: measure,
};

async function measure({ runs }: BenchOptions): Promise<Result[]> {
  const net = new Net();
  const load = startLoad(["ip", "netns", "exec", net.name("dut")]);
  try {
    const device = net.spawn("dut", deviceCommand(net));
    await says(device, /gRPC on/, 20_000);
    const program = join(net.directory, "program.yaml");
    writeFileSync(program, net.sessions());
    const done = net.run("dut", [process.execPath, MAIN, "program", program]);
    if (done.status !== 0) throw new Error(`programming the device failed: ${done.stderr}`);
    await load.ask({ do: "connect", port: PORT });

    const most = await maximum(net);
    const adding = new Adding(load);
    const samples: Sample[] = [];
    for (let k = 0; k < Math.min(runs, 3); k++) {
      const alone = await lost(net, most / 2);
      const started = performance.now();
      adding.start();
      // The engine has optimized what adding runs by then.
      await sleep(k === 0 ? 1500 : 200);
      const both = await lost(net, most / 2);
      const added = (await adding.stop()) / (performance.now() - started);
      samples.push({ alone, both, added });
    }
    await end(device, "SIGTERM");
    const of = (pick: (sample: Sample) => number) => samples.map(pick);
    return [
      result(
        NAME,
        "ms",
        of(({ both }) => (both.lost / both.rate) * 1000),
      ),
      result(
        `${NAME}/loss`,
        "%",
        of(({ both }) => (100 * both.lost) / both.offered),
      ),
      result(
        `${NAME}/loss-alone`,
        "%",
        of(({ alone }) => (100 * alone.lost) / alone.offered),
      ),
      result(
        `${NAME}/offered`,
        "Mpps",
        of(({ both }) => both.rate / 1e6),
      ),
      result(
        `${NAME}/add`,
        "k/s",
        of(({ added }) => added),
      ),
    ];
  } finally {
    await load.end();
    net.close();
  }
}

interface Traffic {
  readonly offered: number;
  readonly lost: number;
  /** Packets offered per second. */
  readonly rate: number;
}

interface Sample {
  readonly alone: Traffic;
  readonly both: Traffic;
  /** Thousand sessions per second. */
  readonly added: number;
}

const MAIN = fileURLToPath(new URL("../../cli/main.js", import.meta.url));

function deviceCommand(net: Net): string[] {
  const config = join(net.directory, "sluice.yaml");
  writeFileSync(config, `sessions: { capacity: ${CAPACITY} }\n`);
  return [
    ...[process.execPath, MAIN, "run", "-c", config, "--workers", "2", "--grpc", `127.0.0.1:${PORT}`],
    ...["--port", "lif=1,driver=af_packet,interface=dut0", "--port", "lif=2,driver=af_packet,interface=dut1"],
  ];
}

/** Packets per second that are forwarded of as many as the generator can send. */
async function maximum(net: Net): Promise<number> {
  const ended = net.generate(3);
  await sleep(1000);
  const [before, start] = [net.received(), performance.now()];
  await sleep(1500);
  const rate = (net.received() - before) / ((performance.now() - start) / 1000);
  await ended;
  return rate;
}

/** Sends for SECONDS at that rate and waits until all that is forwarded has arrived. */
async function lost(net: Net, rate: number): Promise<Traffic> {
  const [sent, received, start] = [net.sent(), net.received(), performance.now()];
  await net.generate(SECONDS * 3, "-b", `${Math.round(rate)}pps`, "-n", String(Math.round(rate * SECONDS)));
  const seconds = (performance.now() - start) / 1000;
  await sleep(300);
  const offered = net.sent() - sent;
  return { offered, lost: offered - (net.received() - received), rate: offered / seconds };
}

/** Adds sessions until it is told to stop. */
class Adding {
  #next = 0;
  #running = false;
  #done: Promise<number> = Promise.resolve(0);

  constructor(private readonly load: LoadProcess) {}

  start(): void {
    this.#running = true;
    this.#done = this.#run();
  }

  /** Resolves with the sessions that were added. */
  stop(): Promise<number> {
    this.#running = false;
    return this.#done;
  }

  async #run(): Promise<number> {
    const first = this.#next;
    while (this.#running && this.#next + PART < CAPACITY) {
      await this.load.ask({ do: "add", first: this.#next, count: PART, perStream: 64, inFlight: 32 });
      this.#next += PART;
    }
    return this.#next - first;
  }
}
