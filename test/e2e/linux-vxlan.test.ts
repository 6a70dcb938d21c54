// Linux's vxlan device as the far end of VXLAN tunnels (RFC 7348), over IPv4 and IPv6; all the kernel's offloads are on.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { A, addsUp, B, type Bump, runDevice } from "./bump.js";
import { idle, met } from "./device.js";
import { noVxlan } from "./linux-vxlan.js";
import type { Namespaces } from "./namespaces.js";
import {
  calm,
  DELETE,
  INNER_MAC,
  innerSession,
  MTU,
  makePeers,
  NEAR_MAC,
  OUTSIDE,
  pings,
  ROUTES,
  type Shape,
  sluiceProgram,
  throughTunnels,
  transfers,
  tunnels,
} from "./peer.js";

const BYTES = 2_000_000;
const SECONDS = 2;
const DATAGRAMS = 50;
t.test("Linux's vxlan device as the far end", { skip: noVxlan }, async (t) => {
  const bump = await makePeers(t, [], "b", (net) => {
    for (const { far, near } of Object.values(OUTSIDE)) {
      net.sh("b", `ip addr add ${far}/${far.includes(":") ? "64 nodad" : "24"} dev eth0`);
      net.sh("b", `ip neigh add ${near} lladdr ${NEAR_MAC} dev eth0 nud permanent`);
    }
    calm(net, "a", "eth0");
    calm(net, "b", "eth0");
  });
  const file = join(bump.net.directory, "sluice.yaml");
  writeFileSync(file, ROUTES);
  const device = await runDevice(t, bump, ["-c", file]);
  await t.test("IPv4 outside", (t) => vxlan(t, bump, { kind: "vxlan", family: 4, vni: 0x123456 }, 8000));
  await t.test("IPv6 outside, matched again after decapsulation", (t) =>
    vxlan(t, bump, { kind: "vxlan", family: 6, vni: 6, next: "RECIRCULATE" }, 8100),
  );
  t.equal(await device.stop(), 0);
});

async function vxlan(t: Test, bump: Bump, shape: Shape, port: number): Promise<void> {
  const { net } = bump;
  const outside = OUTSIDE[shape.family];
  net.sh(
    "b",
    `ip link add vx0 address ${INNER_MAC} type vxlan id ${shape.vni} local ${outside.far} remote ${outside.near} dstport 4789`,
  );
  net.sh("b", `ip addr add ${B.ip4}/24 dev vx0`);
  net.sh("b", `ip addr add ${B.ip6}/64 dev vx0 nodad`);
  calm(net, "b", "vx0");
  net.sh("b", "ip link set vx0 up");
  await throughTunnels(t, bump, shape, async () => {
    await t.test("pings both ways, of every size", async (t) => pings(t, net, "b", outside));
    await t.test("TCP both ways", (t) => transfers(t, bump, port, BYTES));
    await t.test("a session of the inner flow", (t) => innerSession(t, bump, port + 20, BYTES));
  });
  await throughTunnels(t, bump, shape, () => t.test("iperf3", (t) => iperf(t, net)), false);
  await t.test("hosts whose MTU does not fit the tunnel", (t) => tooBig(t, bump, shape, port + 40));
  net.sh("b", "ip link del vx0");
}

/** The device tells a what fits, which heeds it, and puts together what Linux's vxlan device made too big and fragmented. */
async function tooBig(t: Test, bump: Bump, shape: Shape, port: number): Promise<void> {
  const { net } = bump;
  for (const [part, link] of [["a", "eth0"] as const, ["b", "vx0"] as const]) net.sh(part, `ip link set ${link} mtu ${MTU}`);
  sluiceProgram(t, net, tunnels(shape));
  await transfers(t, bump, port, BYTES / 2);
  const fits = `mtu ${MTU - OUTSIDE[shape.family].overhead}`;
  t.match(net.sh("a", `ip route get ${B.ip4}`), fits, "a knows what fits IPv4");
  t.match(net.sh("a", `ip route get ${B.ip6}`), fits, "and IPv6");
  if (shape.family === 4) await t.test("fragments outside", (t) => fragments(t, bump, port));
  await addsUp(t, bump);
  sluiceProgram(t, net, DELETE);
  net.sh("a", "ip route flush cache");
}

/** Linux fragments VXLAN over IPv4 only. */
async function fragments(t: Test, { net, a, b, control }: Bump, port: number): Promise<void> {
  // Else it learns from itself what fits, and fragments inside.
  net.sh("b", `ip route add ${A.ip4}/32 dev vx0 src ${B.ip4} mtu lock ${MTU}`);
  const before = await met(control, "reassembled");
  const [here, there] = [await b.bind(B.ip4, port), await a.bind(A.ip4, port)];
  await b.datagrams(here, A.ip4, port, DATAGRAMS, 4000, 500);
  t.match(await a.received(there, DATAGRAMS), { distinct: DATAGRAMS, bytes: DATAGRAMS * 4000 }, "datagrams arrive");
  await idle(control);
  // Of the three inner fragments of each, two have the whole MTU; they come in two.
  t.equal((await met(control, "reassembled")) - before, 2 * DATAGRAMS, "their fragments are put together");
}

async function iperf(t: Test, net: Namespaces): Promise<void> {
  if (spawnSync("iperf3", ["--version"]).status !== 0) {
    t.comment("iperf3 is not installed (Debian package iperf3)");
    return;
  }
  const server = net.spawn("b", ["iperf3", "-s", "-1", "--forceflush", "-B", B.ip4], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => server.stdout?.once("data", resolve));
  const done = net.run("a", ["iperf3", "-c", B.ip4, "-B", A.ip4, "-t", `${SECONDS}`, "--bidir", "-J"]);
  t.equal(done.status, 0, `iperf3: ${done.stderr}`);
  const { end } = JSON.parse(done.stdout) as Record<
    "end",
    Record<string, { readonly bytes: number; readonly bits_per_second: number }>
  >;
  for (const [name, what] of [
    ["sum_received", "out"],
    ["sum_received_bidir_reverse", "back"],
  ] as const) {
    t.ok(end[name].bytes > 1e6, `${what}: ${(end[name].bits_per_second / 1e6).toFixed(0)} Mbit/s`);
  }
}
