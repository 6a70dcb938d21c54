// Open vSwitch's userspace datapath in a namespace: an underlay bridge that owns the outer addresses and the interface
// towards the device, and an overlay bridge with a tunnel port and the far host. Its database, sockets and daemons are the
// test's own; the machine's service, if there is one, is left alone.

import { type ChildProcess, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { within } from "./device.js";
import type { Namespaces } from "./namespaces.js";
import { FAR_MAC, NEAR_MAC, OUTSIDE, type Shape } from "./peer.js";

const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";
const TOOLS = ["ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-appctl"];

/** Why there is none, or false. */
export const noOpenVswitch: string | false =
  existsSync(SCHEMA) &&
  existsSync("/dev/net/tun") &&
  TOOLS.every((tool) => spawnSync("sh", ["-c", `command -v ${tool}`]).status === 0)
    ? false
    : "needs Open vSwitch (Debian package openvswitch-switch) and /dev/net/tun";

export class OpenVswitch {
  readonly #database: string;
  readonly #control: string;

  private constructor(
    readonly net: Namespaces,
    readonly part: string,
  ) {
    this.#database = join(net.directory, "ovs.sock");
    this.#control = join(net.directory, "vswitchd.ctl");
  }

  /** Takes `eth0` (the device's side) and `far` (the far host's) in this namespace. */
  static async start(net: Namespaces, part: string): Promise<OpenVswitch> {
    const self = new OpenVswitch(net, part);
    const file = (name: string) => join(net.directory, name);
    self.#run(["ovsdb-tool", "create", file("ovs.db"), SCHEMA]);
    const daemon = async (name: string, control: string, ready: string, ...args: string[]) => {
      const options = [`--unixctl=${control}`, `--pidfile=${file(`${name}.pid`)}`, "-vsyslog:off", "-vconsole:err"];
      // Also the control sockets of bridges.
      const env = { ...process.env, OVS_RUNDIR: net.directory, OVS_LOGDIR: net.directory };
      const child = net.spawn(part, [name, ...options, ...args], { stdio: ["ignore", "ignore", "inherit"], env });
      if (!(await within(5000, () => existsSync(ready) || ended(child))) || ended(child))
        throw new Error(`${name} did not start`);
    };
    await daemon("ovsdb-server", file("ovsdb.ctl"), self.#database, `--remote=punix:${self.#database}`, file("ovs.db"));
    self.#set("--no-wait init");
    await daemon("ovs-vswitchd", self.#control, self.#control, `unix:${self.#database}`);
    self.#set(
      `add-br under -- set bridge under datapath_type=netdev other-config:hwaddr=${FAR_MAC} -- add-port under eth0 ` +
        "-- add-br over -- set bridge over datapath_type=netdev -- add-port over far",
    );
    for (const name of ["under", "over"]) net.quiet(part, name);
    net.sh(part, "ip link set under up");
    net.run(part, ["sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/under/disable_ipv6"]);
    for (const { near, far } of Object.values(OUTSIDE)) {
      net.sh(part, `ip addr add ${far}/${far.includes(":") ? "64 nodad" : "24"} dev under`);
      self.#run(["ovs-appctl", "-t", self.#control, "tnl/arp/set", "under", near, NEAR_MAC]);
    }
    // It reads the kernel's routes on its own, soon.
    for (const { far } of Object.values(OUTSIDE)) {
      const known = () => self.#run(["ovs-appctl", "-t", self.#control, "ovs/route/show"]).includes(far);
      if (!(await within(5000, known))) throw new Error(`Open vSwitch does not know its own address ${far}`);
    }
    return self;
  }

  /** The overlay's tunnel towards the device. */
  addTunnel({ kind, family, vni }: Shape, options = ""): void {
    const { near, far } = OUTSIDE[family];
    this.#set(
      `add-port over tunnel -- set interface tunnel type=${kind} options:remote_ip=${quoted(near)} ` +
        `options:local_ip=${quoted(far)} options:key=${vni} ${options}`,
    );
  }

  removeTunnel(): void {
    this.#set("del-port over tunnel");
  }

  #set(words: string): void {
    this.#run(["ovs-vsctl", "-t", "10", `--db=unix:${this.#database}`, ...words.trim().split(" ")]);
  }

  #run(command: readonly string[]): string {
    const done = this.net.run(this.part, command);
    if (done.status !== 0) throw new Error(`${command.join(" ")}: ${done.stderr || done.error}`);
    return done.stdout;
  }
}

/** Of ovs-vsctl's words only those in quotes may hold colons. */
const quoted = (address: string) => `"${address}"`;

function ended({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
