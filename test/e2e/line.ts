// Devices in a row between two hosts, each in a namespace of its own.
//
//   a:eth0 ── d:up1  d:up2 ── e:up1  e:up2 ── b:eth0      (of three: d, m, e)
//
// The devices have no host ports: what meets no tunnel goes through them as it is. Hosts know each other's MACs, so that nothing but
// what they send to each other is on the links.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import { A, addsUp, B } from "./bump.js";
import type { Control } from "./control.js";
import { Device, idle } from "./device.js";
import type { Host } from "./host.js";
import { Namespaces } from "./namespaces.js";
import { calm } from "./peer.js";
import { type Remote, startRemote } from "./remote.js";

/** Of the links between devices: what is encrypted is rounded to 4 bytes, and this is not where that makes no difference. */
export const MTU = 1498;
export const MAC = { a: "02:00:00:00:00:a1", b: "02:00:00:00:00:b1" } as const;
export type Side = "a" | "b";

export interface LineDevice {
  readonly part: string;
  readonly device: Device;
  readonly control: Remote<Control>;
}

export interface Line {
  readonly net: Namespaces;
  readonly a: Remote<Host>;
  readonly b: Remote<Host>;
  /** From a to b. */
  readonly devices: readonly LineDevice[];
}

/** Of every device. */
const PORTS = [1, 2].flatMap((lif) => ["--port", `lif=${lif},driver=af_packet,interface=up${lif}`]);

type Start = (net: Namespaces, part: string, args: readonly string[]) => Promise<Device>;

/**
 * @param config beside the ports
 * @param start of a device, where `sluice run` is not what is wanted
 */
export async function makeLine(
  t: Test,
  parts: readonly string[],
  config = "",
  start: Start = (net, part, args) => Device.run(net, args, part),
): Promise<Line> {
  const net = new Namespaces(["a", ...parts, "b"]);
  t.teardown(() => net.close());
  const row = ["a", ...parts, "b"];
  for (const [i, part] of row.slice(1).entries()) {
    const before = row[i] as string;
    net.link(before, before === "a" ? "eth0" : "up2", part, part === "b" ? "eth0" : "up1");
    if (before === "a" || part === "b") continue;
    net.sh(before, `ip link set up2 mtu ${MTU}`);
    net.sh(part, `ip link set up1 mtu ${MTU}`);
  }
  host(net, "a", A, B);
  host(net, "b", B, A);
  const file = join(net.directory, "sluice.yaml");
  writeFileSync(file, config);
  const args = config === "" ? PORTS : [...PORTS, "-c", file];
  const [a, b, ...devices] = await Promise.all([
    startRemote<Host>(net, "a", "host.js"),
    startRemote<Host>(net, "b", "host.js"),
    ...parts.map(async (part) => {
      const device = await start(net, part, args);
      const { remote } = await startRemote<Control>(net, part, "control.js");
      await remote.ready();
      return { part, device, control: remote };
    }),
  ]);
  return { net, a: a.remote, b: b.remote, devices };
}

function host(net: Namespaces, part: Side, own: typeof A, other: typeof A): void {
  net.sh(part, `ip link set eth0 address ${MAC[part]}`);
  calm(net, part, "eth0");
  net.sh(part, `ip addr add ${own.ip4}/24 dev eth0`);
  net.sh(part, `ip addr add ${own.ip6}/64 dev eth0 nodad`);
  for (const ip of [other.ip4, other.ip6]) {
    net.sh(part, `ip neigh add ${ip} lladdr ${MAC[part === "a" ? "b" : "a"]} dev eth0 nud permanent`);
  }
}

/** Every device's equation, then their ends. */
export async function endLine(t: Test, { net, devices }: Line): Promise<void> {
  for (const { part, control, device } of devices) {
    await t.test(`device ${part} adds up and stops`, async (t) => {
      await addsUp(t, { net, control }, part);
      t.equal(await device.stop(), 0);
      t.strictSame(
        device.log.filter(({ level }) => level >= 50),
        [],
        "no errors in the log",
      );
    });
  }
}

export async function allIdle({ devices }: Line): Promise<void> {
  for (const { control } of devices) await idle(control);
}

const SECONDS = 2;

/** A short run both ways, one after the other: what is seen is for the record. */
export async function iperf(t: Test, { net }: Line): Promise<void> {
  if (spawnSync("iperf3", ["--version"]).status !== 0) {
    t.comment("iperf3 is not installed (Debian package iperf3)");
    return;
  }
  for (const [i, reverse] of [false, true].entries()) {
    const port = `${5201 + i}`;
    const listen = ["iperf3", "-s", "-1", "--forceflush", "-B", B.ip4, "-p", port];
    const server = net.spawn("b", listen, { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => server.stdout?.once("data", resolve));
    const done = net.run("a", [
      "iperf3",
      "-c",
      B.ip4,
      "-B",
      A.ip4,
      "-p",
      port,
      "-t",
      `${SECONDS}`,
      "-J",
      ...(reverse ? ["-R"] : []),
    ]);
    t.equal(done.status, 0, `iperf3: ${done.stderr}`);
    const { end } = JSON.parse(done.stdout) as {
      end: Record<string, { bytes: number; bits_per_second: number; retransmits?: number }>;
    };
    const { bytes = 0, bits_per_second = 0 } = end.sum_received ?? {};
    t.ok(bytes > 1e6, `${reverse ? "back" : "out"}: ${(bits_per_second / 1e6).toFixed(0)} Mbit/s`);
    t.comment(
      `iperf3 ${reverse ? "back" : "out"}: ${(bits_per_second / 1e6).toFixed(0)} Mbit/s, ${end.sum_sent?.retransmits} retransmitted`,
    );
  }
}
