// `veth/af_packet/…`: frames from a generator in one namespace through a forwarder in a second one to a sink in a third,
// on veth pairs. Sluice (sessions, every frame a hit) and DPDK's testpmd (io forwarding: no lookup) take turns between the
// same interfaces under the same generator; the generator runs on processor 0, the forwarder on processor 1. On a veth
// pair the generator's own processor delivers into the receive ring, so it is mostly the limit: then the processor time
// per packet is the figure to compare.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { end, installed, Net, says, unavailable } from "./net.js";
import { type Bench, type BenchOptions, type Result, result } from "./result.js";

const NAMES = ["sluice", "testpmd"].flatMap((who) => [`veth/af_packet/${who}`, `veth/af_packet/${who}/cpu`]);

export const vethBench: Bench = {
  names: [...NAMES, "veth/af_packet/ratio", "veth/af_packet/ratio/cpu"],
  unavailable,
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
  const ended = net.generate(seconds + 2);
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

/** Seconds of processor time, user and system, of a process with all its threads (proc(5), stat fields 14 and 15). */
function cpuTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
