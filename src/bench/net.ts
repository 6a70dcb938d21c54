// Where forwarders are measured: a generator in one namespace, the device in a second one, a sink in a third, on veth pairs.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FLOWS = 64;
const MAC = { source: "02:00:00:00:00:01", destination: "02:00:00:00:00:02" };

/** Why there can be none here, or undefined. */
export function unavailable(): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root for network namespaces";
  if (!installed("trafgen")) return "its generator trafgen is not installed (apt-get install netsniff-ng)";
  return undefined;
}

/** Three namespaces on two veth pairs: gen0 ─ dut0, dut1 ─ sink0. */
export class Net {
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

  /** Packets that the generator has sent so far. */
  sent(): number {
    return Number(this.run("gen", ["cat", "/sys/class/net/gen0/statistics/tx_packets"]).stdout);
  }

  /** trafgen on processor 0 with these options. Resolves when it ends, after `seconds` at the latest. */
  generate(seconds: number, ...options: string[]): Promise<void> {
    const inside = ["ip", "netns", "exec", this.name("gen"), "taskset", "-c", "0"];
    const generator = ["trafgen", "-i", this.packets, "-o", "gen0", "-P", "1", "-q", ...options];
    const child = spawn("timeout", [String(seconds), ...inside, ...generator], { stdio: "ignore" });
    return new Promise((resolve) => child.once("exit", () => resolve()));
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

export function installed(tool: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${tool}`]).status === 0;
}

function must(command: readonly string[]): void {
  const done = spawnSync(command[0] as string, command.slice(1), { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`${command.join(" ")}: ${done.stderr}`);
}

/** Resolves when the process has written that to stdout, which is read to the end, lest it stops there. */
export function says(child: ReturnType<Net["spawn"]>, what: RegExp, patience: number): Promise<void> {
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

export function end(child: ReturnType<typeof spawn>, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}
