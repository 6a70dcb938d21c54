// Linux's vxlan device as the far end of VXLAN tunnels (RFC 7348), over IPv4 and IPv6; all the kernel's offloads are on.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { A, B, type Bump, runDevice } from "./bump.js";
import { noVxlan } from "./linux-vxlan.js";
import type { Namespaces } from "./namespaces.js";
import {
  calm,
  INNER_MAC,
  innerSession,
  makePeers,
  NEAR_MAC,
  OUTSIDE,
  pings,
  ROUTES,
  type Shape,
  throughTunnels,
  transfers,
} from "./peer.js";

const BYTES = 3_000_000;
const SECONDS = 2;
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
  net.sh("b", "ip link del vx0");
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
