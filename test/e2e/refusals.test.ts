import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { Device, PORTS, SLUICE } from "./device.js";
import { Namespaces, noNamespaces } from "./namespaces.js";

const skip = noNamespaces;

t.test("sluice run refuses what it cannot or should not serve", { skip }, async (t) => {
  const net = new Namespaces(["d", "o"]);
  t.teardown(() => net.close());
  for (const name of ["up1", "up2", "host1", "host2"]) net.link("d", name, "o", name);
  const fresh = net.sh("d", "ip -d link show up1");
  const refused = (args: readonly string[], before: readonly string[] = []) => {
    const { status, stdout, stderr } = net.run("d", [...before, process.execPath, SLUICE, "run", ...args]);
    return { status, stdout, stderr: stderr.trim() };
  };

  await t.test("an interface with an IPv4 address", async (t) => {
    net.sh("d", "ip addr add 192.0.2.1/24 dev up1");
    t.match(refused(PORTS), { status: 1, stderr: /up1: it has an IPv4 address.*ip -4 addr flush dev up1.*force: true/ });
    t.match(net.sh("d", "ip link show up1"), /<BROADCAST,MULTICAST,UP/, "it is left as it was");
  });
  await t.test("forced, it is served", async (t) => {
    const file = join(net.directory, "forced.yaml");
    const port = (lif: number, force: boolean) =>
      `  - { lif: ${lif}, driver: af_packet, interface: up${lif}, force: ${force}, host: { driver: af_packet, interface: host${lif} } }`;
    writeFileSync(file, `ports:\n${port(1, true)}\n${port(2, false)}\n`);
    const device = await Device.run(net, ["-c", file]);
    t.equal(await device.stop(), 0);
    t.match(net.sh("d", "ip -4 addr show up1"), /192\.0\.2\.1/, "and keeps its address");
    net.sh("d", "ip addr del 192.0.2.1/24 dev up1");
  });
  await t.test("an interface that a default route leads through", async (t) => {
    net.sh("d", "ip route add default dev up1");
    t.match(refused(PORTS), { status: 1, stderr: /up1: a default route leads through it.*ip route del default dev up1/ });
    net.sh("d", "ip route del default dev up1");
    net.sh("d", "ip -6 route add default dev host2");
    t.match(refused(PORTS), { status: 1, stderr: /host2: a default route leads through it/ }, "over IPv6 too");
    t.equal(net.sh("d", "ip -d link show up1").replace(/state.*/, ""), fresh.replace(/state.*/, ""), "the others are put back");
    net.sh("d", "ip -6 route del default dev host2");
  });
  await t.test("an interface of a bridge", async (t) => {
    net.sh("d", "ip link add br0 type bridge");
    net.sh("d", "ip link set up2 master br0");
    t.match(refused(PORTS), { status: 1, stderr: /up2: it belongs to a bridge or bond.*ip link set up2 nomaster/ });
    net.sh("d", "ip link del br0");
  });
  await t.test("an interface that does not exist", async (t) => {
    const args = ["--port", "lif=1,driver=af_packet,interface=eth99"];
    t.match(refused(args), { status: 1, stderr: /eth99: there is no such interface; there are .*up2.*host1/ });
  });
  await t.test("missing rights", async (t) => {
    const grant = /needs CAP_NET_RAW: run as root, or grant it .*\n.*setcap cap_net_raw,cap_net_admin\+ep/;
    const drop = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"];
    t.match(refused(PORTS, drop), { status: 1, stderr: grant });
    const admin = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
    t.match(refused(PORTS, admin), { status: 1, stderr: /needs CAP_NET_ADMIN: run as root, or grant it/ });
    const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
    const reads = net.run("d", [...nobody, process.execPath, "-e", `require("fs").readFileSync(${JSON.stringify(SLUICE)})`]);
    if (reads.status !== 0) t.comment("nobody cannot read this project's files: not tried as nobody");
    else t.match(refused(PORTS, nobody), { status: 1, stderr: grant }, "as nobody");
  });
  await t.test("a gRPC port that is taken", async (t) => {
    const device = await Device.run(net);
    t.match(refused(["--grpc", "127.0.0.1:3443"]), { status: 1, stderr: /127\.0\.0\.1:3443: another process listens there/ });
    t.equal(await device.stop(), 0);
  });
});
