// `veth/af_packet/…`: frames from a generator in one namespace through a forwarder in a second one to a sink in a third,
// on veth pairs. Sluice (sessions, every frame a hit) and DPDK's testpmd (io forwarding: no lookup) take turns between the
// same interfaces under the same generator; the generator runs on processor 0, the forwarder on processor 1. On a veth
// pair the generator's own processor delivers into the receive ring, so it is mostly the limit: then the processor time
// per packet is the figure to compare.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Bench, type BenchOptions, type Result, result } from "./result.js";

const NAMES = ["sluice", "testpmd"].flatMap((who) => [`veth/af_packet/${who}`, `veth/af_packet/${who}/cpu`]);
const FLOWS = 64;
const MAC = { source: "02:00:00:00:00:01", destination: "02:00:00:00:00:02" };

export const vethBench: Bench = {
  names: [...NAMES, "veth/af_packet/ratio", "veth/af_packet/ratio/cpu"],
  unavailable() {
    if (process.getuid?.() !== 0) return "it needs root for network namespaces";
    if (!installed("trafgen")) return "its generator trafgen is not installed (apt-get install netsniff-ng)";
    return undefined;
  },
  run: measure,
};

interface Sample {
  /** Million packets per second that reached the sink. */
  readonly rate: number;
  /** Nanoseconds of the forwarder's processor time per packet. */
  readonly cpu: number;
}

interface Forwarder {
  readonly name: string;
  /** Starts it in the namespace of the device; resolves once it forwards. */
  start(net: Net): Promise<{ pid: number; stop(): Promise<void> }>;
}

async function measure(options: BenchOptions): Promise<Result[]> {
  const forwarders = installed("dpdk-testpmd") ? [sluice, testpmd] : [sluice];
  if (forwarders.length === 1)
    console.error("veth/af_packet/testpmd: skipped, dpdk-testpmd is not installed (apt-get install dpdk-dev)");
  const samples = new Map<string, Sample[]>(forwarders.map((f) => [f.name, []]));
  const net = new Net();
  try {
    for (let run = 0; run < options.runs; run++) {
      for (const forwarder of forwarders) {
        const running = await forwarder.start(net);
        try {
          samples.get(forwarder.name)?.push(await sample(net, running.pid, options.seconds));
        } finally {
          await running.stop();
        }
      }
    }
  } finally {
    net.close();
  }
  const results: Result[] = [];
  for (const [name, list] of samples) {
    results.push(
      result(
        `veth/af_packet/${name}`,
        "Mpps",
        list.map((s) => s.rate),
      ),
    );
    results.push(
      result(
        `veth/af_packet/${name}/cpu`,
        "ns",
        list.map((s) => s.cpu),
      ),
    );
  }
  const [ours, theirs] = [samples.get("sluice") ?? [], samples.get("testpmd") ?? []];
  if (theirs.length > 0) {
    results.push(
      result(
        "veth/af_packet/ratio",
        "×",
        ours.map((s, i) => s.rate / (theirs[i] as Sample).rate),
      ),
    );
    results.push(
      result(
        "veth/af_packet/ratio/cpu",
        "×",
        ours.map((s, i) => s.cpu / (theirs[i] as Sample).cpu),
      ),
    );
  }
  return results;
}

/** Runs the generator for a while and counts at the sink from a moment when it is under way. */
async function sample(net: Net, pid: number, seconds: number): Promise<Sample> {
  const generator = spawn(
    "timeout",
    [
      `${seconds + 2}`,
      "ip",
      "netns",
      "exec",
      net.name("gen"),
      "taskset",
      "-c",
      "0",
      "trafgen",
      "-i",
      net.packets,
      "-o",
      "gen0",
      "-P",
      "1",
      "-q",
    ],
    { stdio: "ignore" },
  );
  const ended = new Promise((resolve) => generator.once("exit", resolve));
  await sleep(800);
  const packets = net.received();
  const time = cpuTime(pid);
  const start = performance.now();
  await sleep(seconds * 1000);
  const count = net.received() - packets;
  if (count === 0) throw new Error("no packet reached the sink");
  const sample = { rate: count / (performance.now() - start) / 1000, cpu: ((cpuTime(pid) - time) * 1e9) / count };
  await ended;
  return sample;
}

const sluice: Forwarder = {
  name: "sluice",
  async start(net) {
    const main = fileURLToPath(new URL("../cli/main.js", import.meta.url));
    const device = net.spawn("dut", [
      ...["taskset", "-c", "1", process.execPath, main, "run", "--workers", "1", "--grpc", "127.0.0.1:3443"],
      ...["--port", "lif=1,driver=af_packet,interface=dut0", "--port", "lif=2,driver=af_packet,interface=dut1"],
    ]);
    await says(device, /gRPC on/, 20_000);
    const program = join(net.directory, "program.yaml");
    writeFileSync(program, net.sessions());
    const done = net.run("dut", [process.execPath, main, "program", program]);
    if (done.status !== 0) throw new Error(`programming the device failed: ${done.stderr}`);
    return { pid: device.pid as number, stop: () => end(device, "SIGTERM") };
  },
};

const testpmd: Forwarder = {
  name: "testpmd",
  async start(net) {
    const vdevs = [0, 1].map((i) => `--vdev=net_af_packet${i},iface=dut${i}`);
    const device = net.spawn("dut", [
      ...["dpdk-testpmd", "--no-huge", "-m", "512", "--no-pci", "--no-telemetry", "--lcores=0@0,1@1", ...vdevs],
      ...["--", "--nb-cores=1", "--forward-mode=io", "--auto-start", "--total-num-mbufs=16384", "--stats-period=60"],
    ]);
    await says(device, /packet forwarding/, 20_000);
    return { pid: device.pid as number, stop: () => end(device, "SIGINT") };
  },
};

/** Three namespaces on two veth pairs: gen0 ─ dut0, dut1 ─ sink0. */
class Net {
  readonly directory = mkdtempSync(join(tmpdir(), "sluice-bench-"));
  readonly packets = join(this.directory, "packets.cfg");

  constructor() {
    this.#removeNamespaces();
    for (const part of ["gen", "dut", "sink"]) must(["ip", "netns", "add", this.name(part)]);
    for (const [a, b] of [
      ["gen:gen0", "dut:dut0"],
      ["dut:dut1", "sink:sink0"],
    ] as const) {
      const [aNs, aName] = a.split(":") as [string, string];
      const [bNs, bName] = b.split(":") as [string, string];
      must(["ip", "link", "add", aName, "netns", this.name(aNs), "type", "veth", "peer", "name", bName, "netns", this.name(bNs)]);
      for (const [ns, link] of [
        [aNs, aName],
        [bNs, bName],
      ] as const) {
        this.run(ns, ["sh", "-c", `echo 1 > /proc/sys/net/ipv6/conf/${link}/disable_ipv6`]);
        this.run(ns, ["ip", "link", "set", link, "up", "arp", "off"]);
      }
    }
    this.run("dut", ["ip", "link", "set", "lo", "up"]);
    writeFileSync(this.packets, Array.from({ length: FLOWS }, (_, i) => packet(i)).join("\n"));
  }

  name(part: string): string {
    return `slb-${part}`;
  }

  run(part: string, command: readonly string[]) {
    return spawnSync("ip", ["netns", "exec", this.name(part), ...command], { encoding: "utf8" });
  }

  /** With an open stdin: testpmd ends when it closes. */
  spawn(part: string, command: readonly string[]) {
    return spawn("ip", ["netns", "exec", this.name(part), ...command], { stdio: ["pipe", "pipe", "ignore"] });
  }

  /** Packets that reached the sink so far. */
  received(): number {
    return Number(this.run("sink", ["cat", "/sys/class/net/sink0/statistics/rx_packets"]).stdout);
  }

  sessions(): string {
    const list = Array.from(
      { length: FLOWS },
      (_, i) =>
        `  - { session_id: ${i + 1}, in_lif: 1, out_lif: 2, source_ip: 10.0.0.${i}, source_port: 1024, destination_ip: 10.255.0.1, ` +
        `destination_port: 80, protocol_id: UDP, action: { action_type: FORWARD }, cache_timeout: 3600 }`,
    );
    return `sessions:\n${list.join("\n")}\n`;
  }

  close(): void {
    this.#removeNamespaces();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #removeNamespaces(): void {
    for (const part of ["gen", "dut", "sink"]) spawnSync("ip", ["netns", "del", this.name(part)]);
  }
}

/** A 64-byte frame (60 without FCS) of flow i in trafgen's language. */
function packet(i: number): string {
  return `{ eth(da=${MAC.destination}, sa=${MAC.source}), ipv4(sa=10.0.0.${i}, da=10.255.0.1), udp(sp=1024, dp=80), fill(0, 18) }`;
}

/** Seconds of processor time, user and system, of a process with all its threads (proc(5), stat fields 14 and 15). */
function cpuTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function installed(tool: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${tool}`]).status === 0;
}

function must(command: readonly string[]): void {
  const done = spawnSync(command[0] as string, command.slice(1), { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`${command.join(" ")}: ${done.stderr}`);
}

/** Resolves when the process has written that to stdout, which is read to the end, lest it stops there. */
function says(child: ReturnType<Net["spawn"]>, what: RegExp, patience: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${child.spawnargs.join(" ")}: not ready after ${patience} ms`)), patience);
    let text = "";
    child.stdout.on("data", (chunk) => {
      text = (text + chunk).slice(-10_000);
      if (!what.test(text)) return;
      clearTimeout(late);
      resolve();
    });
  });
}

function end(child: ReturnType<typeof spawn>, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}
