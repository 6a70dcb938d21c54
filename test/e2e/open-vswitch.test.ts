// Open vSwitch's userspace datapath as the far end of Geneve and VXLAN tunnels, over IPv4 and IPv6.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { B, type Bump, runDevice } from "./bump.js";
import { noNamespaces } from "./namespaces.js";
import { noOpenVswitch, OpenVswitch } from "./open-vswitch.js";
import {
  calm,
  INNER_MAC,
  innerSession,
  MTU,
  makePeers,
  OUTSIDE,
  pings,
  ROUTES,
  type Shape,
  throughTunnels,
  transfers,
} from "./peer.js";

const BYTES = 500_000;
const SHAPES: readonly (Shape & { readonly options?: string })[] = [
  { kind: "geneve", family: 4, vni: 0xabcdef },
  { kind: "geneve", family: 6, vni: 1, next: "RECIRCULATE" },
  { kind: "vxlan", family: 4, vni: 0x1234, options: "options:csum=true" },
  { kind: "vxlan", family: 6, vni: 2 },
];

t.test("Open vSwitch as the far end", { skip: noNamespaces || noOpenVswitch }, async (t) => {
  const bump = await makePeers(t, ["c"], "c", (net) => {
    net.link("c", "eth0", "b", "far");
    net.quiet("b", "far");
    // The datapath takes frames as they are: sums finished, segments of the MTU.
    net.sh("c", "ethtool -K eth0 tx off tso off gso off");
    net.sh("c", `ip link set eth0 address ${INNER_MAC}`);
    net.sh("c", `ip addr add ${B.ip4}/24 dev eth0`);
    net.sh("c", `ip addr add ${B.ip6}/64 dev eth0 nodad`);
    calm(net, "a", "eth0");
    calm(net, "c", "eth0");
  });
  const file = join(bump.net.directory, "sluice.yaml");
  writeFileSync(file, ROUTES);
  const device = await runDevice(t, bump, ["-c", file]);
  const far = await OpenVswitch.start(bump.net, "b");
  for (const [i, shape] of SHAPES.entries()) {
    await t.test(`${shape.kind} over IPv${shape.family}`, (t) => tunnel(t, bump, far, shape, 9000 + 100 * i));
  }
  t.equal(await device.stop(), 0);
});

async function tunnel(t: Test, bump: Bump, far: OpenVswitch, shape: (typeof SHAPES)[number], port: number): Promise<void> {
  const { net } = bump;
  const outside = OUTSIDE[shape.family];
  net.sh("c", `ip link set eth0 mtu ${MTU - outside.overhead}`);
  far.addTunnel(shape, shape.options);
  await throughTunnels(t, bump, shape, async () => {
    await t.test("pings both ways, of every size", async (t) => pings(t, net, "c", outside));
    await t.test("TCP both ways", (t) => transfers(t, bump, port, BYTES));
    await t.test("a session of the inner flow", (t) => innerSession(t, bump, port + 20, BYTES));
  });
  far.removeTunnel();
}
