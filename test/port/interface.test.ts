import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import t from "tap";
import { native } from "../../src/native.js";
import { linkState, prepareInterface } from "../../src/port/interface.js";
import { driver, ip, ROOT } from "./af-packet-rig.js";
import { noNamespace } from "./namespace.js";

const skip = noNamespace;

/** All that `ip` and ethtool say of an interface and that we may touch. */
function shown(name: string): string {
  const link = ip(`-o link show ${name}`).replace(/ (state|qlen|qdisc) \S+/g, "");
  const addresses = ip(`-6 -o addr show dev ${name}`)
    .replace(/ (valid_lft|preferred_lft).*/g, "")
    .replace(/ tentative/g, "");
  const sysctl = readFileSync(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, "utf8");
  return `${link}${addresses.split("\n").sort().join("\n")}${sysctl}gro ${native.ethtool(name, 0x2b, 0)}`;
}

t.beforeEach(() => {
  if (!skip) ip("link add slpx type veth peer name slpy");
});
t.afterEach(() => {
  if (!skip && linkState("slpx").present) ip("link del slpx");
});

t.test("an interface is made quiet and put back exactly", { skip }, (t) => {
  ip("link set slpy up");
  ip("link set slpx up");
  ip("-6 addr add 2001:db8::77/64 dev slpx");
  native.ethtool("slpx", 0x2c, 1);
  const before = shown("slpx");
  const prepared = prepareInterface(driver("slpx"));
  t.match(ip("-o link show slpx"), /NOARP/);
  t.equal(readFileSync("/proc/sys/net/ipv6/conf/slpx/disable_ipv6", "utf8"), "1\n");
  t.equal(ip("-6 addr show dev slpx"), "");
  t.equal(native.ethtool("slpx", 0x2b, 0), 0, "GRO is off");
  prepared.restore();
  t.equal(shown("slpx"), before);
  prepared.restore();
  t.equal(shown("slpx"), before, "a second time changes nothing");
  t.end();
});

t.test("one that was down, silent and without IPv6 is left so", { skip }, (t) => {
  ip("link set slpx arp off");
  writeFileSync("/proc/sys/net/ipv6/conf/slpx/disable_ipv6", "1");
  const before = shown("slpx");
  const prepared = prepareInterface(driver("slpx"));
  t.ok(linkState("slpx").up, "brought up");
  prepared.restore();
  t.notOk(linkState("slpx").up);
  t.equal(shown("slpx"), before);
  t.end();
});

t.test("what the host uses is refused, unless forced, and untouched", { skip }, (t) => {
  ip("link set slpy up");
  ip("link set slpx up");
  const refused = (message: RegExp) => {
    const before = shown("slpx");
    t.throws(() => prepareInterface(driver("slpx")), { name: "SluiceError", code: "interface", message });
    t.equal(shown("slpx"), before);
    prepareInterface(driver("slpx", { force: true })).restore();
    t.equal(shown("slpx"), before);
  };
  ip("addr add 10.0.0.1/24 dev slpx");
  refused(/IPv4 address.*ip -4 addr flush dev slpx.*force: true/);
  ip("addr flush dev slpx scope global");
  ip("addr add 10.0.0.1/24 dev slpx label slpx:1");
  refused(/IPv4 address/);
  ip("addr flush dev slpx scope global");
  ip("route add default dev slpx");
  refused(/default route.*ip route del default dev slpx/);
  ip("route del default dev slpx");
  ip("link add slpbr type bridge");
  ip("link set slpx master slpbr");
  refused(/bridge or bond.*nomaster/);
  ip("link set slpx nomaster");
  ip("link del slpbr");
  ip("-6 route add default dev slpx");
  t.throws(() => prepareInterface(driver("slpx")), { code: "interface", message: /default route/ });
  ip("-6 route del default dev slpx");
  t.doesNotThrow(() => prepareInterface(driver("slpx")).restore());
  t.end();
});

t.test("an interface that is not there: the error lists those that are", { skip }, (t) => {
  t.throws(() => prepareInterface(driver("slpnone")), { code: "interface", message: /slpnone.*there are .*slp[xy].*slp[xy]/ });
  t.throws(() => prepareInterface(driver("a-name-that-is-too-long")), { code: "interface", message: /no such interface/ });
  t.strictSame(linkState("slpnone"), { present: false, up: false, running: false, mtu: 0, ifindex: 0 });
  t.end();
});

t.test("an interface without Ethernet is refused, forced or not", { skip }, (t) => {
  ip("tuntap add slptun mode tun");
  t.throws(() => prepareInterface(driver("slptun", { force: true })), { code: "interface", message: /no Ethernet/ });
  ip("link del slptun");
  t.end();
});

t.test("restoring an interface that is gone, or another of its name, does nothing", { skip }, (t) => {
  const prepared = prepareInterface(driver("slpx"));
  ip("link del slpx");
  ip("link add slpfirst type veth peer name slpsecond");
  ip("link add slpx type veth peer name slpy");
  ip("link set slpx up");
  prepared.restore();
  t.ok(linkState("slpx").up);
  ip("link del slpx");
  t.doesNotThrow(() => prepared.restore());

  ip("link add slpx type veth peer name slpy");
  const again = prepareInterface(driver("slpx"));
  ip("link del slpx");
  ip("link add slpother type veth peer name slpthird");
  ip("link add slpx type veth peer name slpy");
  const before = shown("slpx");
  again.renew();
  t.match(ip("-o link show slpx"), /NOARP/, "renewed");
  again.restore();
  t.equal(shown("slpx"), before);
  ip("link del slpfirst");
  ip("link del slpother");
  t.end();
});

t.test("state of the link", { skip }, (t) => {
  ip("link set slpx mtu 2000 up");
  t.match(linkState("slpx"), { present: true, up: true, running: false, mtu: 2000 });
  ip("link set slpy up");
  t.match(linkState("slpx"), { present: true, up: true, running: true, mtu: 2000 });
  t.end();
});

t.test("missing rights: the error names the capability and how to grant it", { skip }, (t) => {
  const script = `
    const { prepareInterface } = await import("${ROOT}dist/src/port/interface.js");
    const driver = { driver: "af_packet", interface: "slpx", force: false, rxFrames: 64, rxFrameSize: 2048, rxQueueBytes: 65536 };
    try { prepareInterface(driver) } catch (error) { console.log(error.code, error.message) }`;
  const without = (capability: string) =>
    spawnSync("capsh", [`--drop=${capability}`, "--", "-c", `exec "${process.execPath}" --input-type=module -e '${script}'`]);
  const raw = without("cap_net_raw");
  if (raw.error !== undefined) t.comment("no capsh here");
  else {
    t.match(
      raw.stdout.toString(),
      /^rights preparing interface slpx needs CAP_NET_RAW: run as root.*\n.*setcap cap_net_raw,cap_net_admin\+ep/,
    );
    t.match(without("cap_net_admin").stdout.toString(), /^rights preparing interface slpx needs CAP_NET_ADMIN/);
  }
  t.end();
});
