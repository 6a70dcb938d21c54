// Devices in a row between two hosts, each in a namespace of its own; what runs between them is encrypted.
//
//   a:eth0 ── d:up1  d:up2 ── e:up1  e:up2 ── b:eth0      (of three: d, m, e)
//
// The devices have no host ports: what meets no tunnel goes through them as it is. Hosts know each other's MACs, so that nothing but
// what they send to each other is on the links.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import type { IPSecSAParams, IpTunnelRequest, MatchCriteria } from "../../src/control/gen/tunneloffload.js";
import { ipsecDec, ipsecEnc, LENGTHS } from "../control/ipsec-tunnels.js";
import { change, criteria, geneveDecap, geneveEncap, s_addr, tunnel } from "../control/tunnel-device.js";
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
const CREATE = 1;
const UPDATE = 2;
const DELETE = 3;
export const NEXT = { none: 0, forward: 1, recirculate: 2 } as const;
/** Ports by the side that they look to. */
const TOWARDS = { a: "1", b: "2" } as const;
export type Side = keyof typeof TOWARDS;

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

/** A direction's key under an SPI. */
export interface Key {
  readonly spi: number;
  readonly material: Buffer;
}

/** What both ends of a protected link have in common. */
export interface Esp {
  /** IPSecTunnelType. */
  readonly mode: number;
  /** EncType. */
  readonly encryption: number;
  readonly family: 4 | 6;
}

export function newKey(spi: number, { encryption }: Esp): Key {
  const [key, salt] = LENGTHS[encryption] as readonly [number, number];
  return { spi, material: randomBytes(key + salt) };
}

const OUTER = {
  4: { a: "192.0.2.1", b: "192.0.2.2" },
  6: { a: "20010db8000f0000000000000000000a", b: "20010db8000f0000000000000000000b" },
};

/** Outer addresses of a tunnel that leads to this side. */
function towards(side: Side, family: 4 | 6) {
  const { [side]: to, [side === "a" ? "b" : "a"]: from } = OUTER[family];
  return { from, to };
}

const sa = ({ spi, material }: Key, operation = CREATE): IPSecSAParams => ({
  spi,
  encryptionKey: Buffer.from(material),
  operation,
});

/** From the other side, towards this one. `more`: of the match. */
export function from(side: Side, more: Partial<MatchCriteria> = {}): MatchCriteria {
  return criteria({ ingressInterface: TOWARDS[side], ...more });
}

export function encrypt(
  id: number,
  match: MatchCriteria,
  esp: Esp,
  to: Side,
  key: Key,
  next: number = NEXT.forward,
): IpTunnelRequest {
  const outer = towards(to, esp.family);
  const changes = { tunnelType: esp.mode, encryptionType: esp.encryption, ipsecSa: sa(key) };
  const tunnelIps =
    esp.family === 4
      ? ({ $case: "ipv4Tunnel", value: { sourceIp: s_addr(outer.from), destinationIp: s_addr(outer.to) } } as const)
      : ({ $case: "ipv6Tunnel", value: { sourceIp: hex(outer.from), destinationIp: hex(outer.to) } } as const);
  return tunnel(id, { matchCriteria: match, nextAction: next, tunnel: ipsecEnc({ ...changes, tunnelIps }) });
}

export function decrypt(
  id: number,
  match: MatchCriteria,
  { mode, encryption }: Esp,
  keys: readonly Key[],
  next: number = NEXT.none,
) {
  const changes = { tunnelType: mode, encryptionType: encryption };
  return tunnel(id, {
    matchCriteria: match,
    nextAction: next,
    tunnel: ipsecDec(
      keys.map((key) => sa(key)),
      changes,
    ),
  });
}

export function encapsulate(id: number, match: MatchCriteria, to: Side, vni: number, next: number): IpTunnelRequest {
  const outer = towards(to, 4);
  const ip = { $case: "outerIpv4Pair", value: { sourceIp: s_addr(outer.from), destinationIp: s_addr(outer.to) } } as const;
  return tunnel(id, { matchCriteria: match, nextAction: next, tunnel: geneveEncap({ ip, vni }) });
}

export function decapsulate(id: number, match: MatchCriteria, next: number = NEXT.none): IpTunnelRequest {
  return tunnel(id, { matchCriteria: match, nextAction: next, tunnel: geneveDecap });
}

/** The other key is encrypted with, from the next packet on. */
export function switchTo(id: number, key: Key): IpTunnelRequest {
  const changes = { tunnelType: 0, encryptionType: 0, tunnelIps: undefined, ipsecSa: sa(key) };
  return change(id, UPDATE, { tunnel: ipsecEnc(changes) });
}

/** A SA beside the others comes, or goes. */
export function addKey(id: number, esp: Esp, key: Key): IpTunnelRequest {
  return withSa(id, esp, sa(key));
}

export function removeKey(id: number, esp: Esp, key: Key): IpTunnelRequest {
  return withSa(id, esp, sa(key, DELETE));
}

function withSa(id: number, { mode, encryption }: Esp, one: IPSecSAParams): IpTunnelRequest {
  return change(id, UPDATE, { tunnel: ipsecDec([one], { tunnelType: mode, encryptionType: encryption }) });
}

export function remove(id: number): IpTunnelRequest {
  return change(id, DELETE);
}

const hex = (text: string) => Buffer.from(text, "hex");

/** Ethernet and IPv4 in front of it (RFC 4303 section 2, RFC 4106 section 3). */
export const AT = { spi: 34, sequence: 38, iv: 42, end: 50 } as const;

/** No number and no IV is used twice under a key: each SPI has one of its own. */
export function ivs(t: Test, frames: readonly Buffer[], keys: number): void {
  const numbers = new Map<number, Set<number>>();
  const given = new Set<string>();
  for (const frame of frames) {
    const spi = frame.readUInt32BE(AT.spi);
    const of = numbers.get(spi) ?? new Set();
    numbers.set(spi, of.add(frame.readUInt32BE(AT.sequence)));
    given.add(frame.toString("latin1", AT.spi, AT.spi + 4) + frame.toString("latin1", AT.iv, AT.end));
  }
  t.equal(numbers.size, keys, "every key was used");
  t.equal(given.size, frames.length, `${frames.length} packets, each IV once under its key`);
  const used = [...numbers.values()].reduce((sum, { size }) => sum + size, 0);
  t.equal(used, frames.length, "each number once");
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
