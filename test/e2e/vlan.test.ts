import { existsSync } from "node:fs";
import t, { type Test } from "tap";
import { addsUp, type Bump, counters, makeBump, program, runDevice } from "./bump.js";
import { Capture } from "./capture.js";
import { idle } from "./device.js";
import { type Namespaces, noNamespaces } from "./namespaces.js";
import { startScript } from "./probe.js";
import { tcpOffload } from "./tcp-offload.js";

const skip = noNamespaces || (existsSync("/dev/net/tun") ? false : "needs /dev/net/tun");
const VLAN = 100;
const A = "10.8.0.1";
const B = "10.8.0.2";

t.test("TCP with a VLAN tag", { skip }, async (t) => {
  const bump = await makeBump(t);
  await Promise.all([tagging(bump.net, "a", A), tagging(bump.net, "b", B)]);
  const device = await runDevice(t, bump);
  await t.test("a session with its VLAN id offloads it", (t) =>
    tcpOffload(t, bump, { family: 4, bytes: 2_000_000, end: "fin", vlan: VLAN, addresses: [A, B], ports: 5000 }),
  );
  await t.test("a session with another VLAN id, or none, does not", (t) => others(t, bump));
  t.equal(await device.stop(), 0);
});

async function tagging(net: Namespaces, part: string, address: string): Promise<void> {
  await startScript(net, part, "vlan.py", ["vlan", "eth0", `${VLAN}`]);
  net.quiet(part, "vlan");
  net.sh(part, `ip addr add ${address}/24 dev vlan`);
}

async function others(t: Test, bump: Bump): Promise<void> {
  const { net, a, b, control } = bump;
  const [server, port] = [5100, 5101];
  const flow = { protocol: "TCP", from: A, fromPort: port, to: B, toPort: server } as const;
  t.strictSame(
    await control.add(
      program([
        { ...flow, id: 1, vlan: VLAN + 1 },
        { ...flow, id: 2 },
      ]),
    ),
    [],
  );
  await b.listen(B, server);
  const application = await Capture.start(net, "p", "host1");
  const here = await a.connect(B, server, port);
  const there = await b.accepted(port);
  const sums = await Promise.all([a.send(here, 100_000), b.receive(there, 100_000)]);
  t.equal(sums[1], sums[0], "it arrives");
  await a.reset(here);
  await idle(control);
  await application.stop();
  t.ok(application.count(`vlan ${VLAN} and tcp src port ${port}`).bytes > 100_000, "by way of the application, tagged");
  t.equal(application.count(`tcp port ${port}`).packets, 0, "never without its tag");
  const none = { packets: 0, bytes: 0 };
  for (const id of [1n, 2n]) t.strictSame(counters(await control.delete(id)), { in: none, out: none }, "the session counts none");
  await addsUp(t, bump);
}
