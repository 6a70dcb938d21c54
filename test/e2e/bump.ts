// The topology of the tests: host a ─ uplink 1 of the device, uplink 2 ─ host b; behind the host ports a namespace that
// bridges them, the application.
//
//   a:eth0 ── d:up1    d:up2 ── b:eth0
//   p:host1 ── d:host1    d:host2 ── p:host2    (p: bridge br0 of host1 and host2)

import type { Test } from "tap";
import type { Control } from "./control.js";
import { balance, Device, PORTS } from "./device.js";
import type { Host } from "./host.js";
import { Namespaces } from "./namespaces.js";
import { type Remote, startRemote } from "./remote.js";

export const A = { ip4: "10.7.0.1", ip6: "fd07::1" };
export const B = { ip4: "10.7.0.2", ip6: "fd07::2" };

export interface Bump {
  readonly net: Namespaces;
  readonly a: Remote<Host>;
  readonly b: Remote<Host>;
  readonly control: Remote<Control>;
}

export async function makeBump(t: Test): Promise<Bump> {
  const net = new Namespaces(["a", "b", "d", "p"]);
  t.teardown(() => net.close());
  linkHost(net, "a");
  linkHost(net, "b");
  linkApplication(net);
  const [a, b, control] = await Promise.all([
    startRemote<Host>(net, "a", "host.js"),
    startRemote<Host>(net, "b", "host.js"),
    startRemote<Control>(net, "d", "control.js"),
  ]);
  return { net, a: a.remote, b: b.remote, control: control.remote };
}

/** The pair between a host and the device, and the host's addresses. */
export function linkHost(net: Namespaces, part: "a" | "b"): void {
  const [uplink, { ip4, ip6 }] = part === "a" ? ["up1", A] : ["up2", B];
  net.link(part, "eth0", "d", uplink);
  net.sh(part, `ip addr add ${ip4}/24 dev eth0`);
  net.sh(part, `ip addr add ${ip6}/64 dev eth0 nodad`);
}

/** The bridge behind the host ports. */
export function linkApplication(net: Namespaces): void {
  net.link("p", "host1", "d", "host1");
  net.link("p", "host2", "d", "host2");
  net.sh("p", "ip link add br0 type bridge stp_state 0 mcast_snooping 0");
  for (const name of ["br0", "host1", "host2"]) net.quiet("p", name);
  for (const name of ["host1", "host2"]) net.sh("p", `ip link set ${name} master br0`);
  net.sh("p", "ip link set br0 up");
}

/** `sluice run` between the hosts, answering calls; stopped when the test is over. */
export async function runDevice(t: Test, bump: Bump, args: readonly string[] = []): Promise<Device> {
  const device = await Device.run(bump.net, [...PORTS, ...args]);
  t.teardown(async () => {
    if (device.child.exitCode === null) await device.stop();
  });
  await bump.control.ready();
  return device;
}

export async function addsUp(t: Test, { net, control }: Pick<Bump, "net" | "control">, part = "d"): Promise<void> {
  const sides = await balance(net, control, part);
  t.equal(sides.in, sides.out, "in + created = out + to host + dropped + consumed");
  t.equal(sides.in, sides.fates, "and each met one fate");
}

export interface Flow {
  readonly id: number;
  readonly protocol: "TCP" | "UDP";
  readonly from: string;
  readonly fromPort: number;
  readonly to: string;
  readonly toPort: number;
  readonly vlan?: number;
  readonly action?: "FORWARD" | "DROP" | "MIRROR" | "SNOOP";
  readonly nextHop?: string;
  readonly timeout?: number;
}

/** As an entry of a program file. */
export function program(flows: readonly Flow[]): string {
  const entries = flows.map(
    ({ id, protocol, from, fromPort, to, toPort, vlan = 0, action = "FORWARD", nextHop, timeout = 60 }) =>
      `  - { session_id: ${id}, in_lif: ${1 | (vlan << 16)}, source_ip: "${from}", source_port: ${fromPort}, ` +
      `destination_ip: "${to}", destination_port: ${toPort}, protocol_id: ${protocol}, ` +
      `action: { action_type: ${action}${nextHop === undefined ? "" : `, action_next_hop${nextHop.includes(":") ? "_v6" : ""}: "${nextHop}"`} }, cache_timeout: ${timeout} }`,
  );
  return `sessions:\n${entries.join("\n")}\n`;
}

/** Counters of a session as numbers. */
export function counters(session: { inPackets: bigint; outPackets: bigint; inBytes: bigint; outBytes: bigint } | undefined) {
  if (session === undefined) return undefined;
  const { inPackets, outPackets, inBytes, outBytes } = session;
  return {
    in: { packets: Number(inPackets), bytes: Number(inBytes) },
    out: { packets: Number(outPackets), bytes: Number(outBytes) },
  };
}
