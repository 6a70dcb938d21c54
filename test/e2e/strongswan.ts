// strongSwan's charon in a namespace, its ESP in user space (kernel-libipsec: a tun device, AES-GCM, always in UDP), and the keys of
// its child SAs, which it logs at level `chd = 4`. Configuration, log and control socket are the test's own; the machine's service,
// if there is one, is left alone.

import { type ChildProcess, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { within } from "./device.js";
import type { Namespaces } from "./namespaces.js";
import { OUTSIDE } from "./peer.js";

const PLUGINS = "/usr/lib/ipsec/plugins/libstrongswan";
const FILES = ["kernel-libipsec", "openssl", "vici"].map((name) => `${PLUGINS}-${name}.so`);

/** Why there is none, or false. */
export const noStrongswan: string | false =
  [...FILES, "/dev/net/tun"].every((file) => existsSync(file)) &&
  ["charon-systemd", "swanctl"].every((tool) => spawnSync("sh", ["-c", `command -v ${tool}`]).status === 0)
    ? false
    : "needs strongSwan (Debian packages charon-systemd, strongswan-swanctl, libcharon-extra-plugins and libstrongswan-standard-plugins) and /dev/net/tun";

/** An end of the SAs: addresses that it speaks for, and its place in each pair of OUTSIDE. */
export interface End {
  readonly name: string;
  readonly selectors: string;
  readonly outside: "near" | "far";
}

/** One direction of a child SA: what IPSecSAParams has. */
export interface Direction {
  readonly spi: number;
  /** Hexadecimal, key then salt. */
  readonly key: string;
}

export interface Child {
  readonly inbound: Direction;
  readonly outbound: Direction;
}

/** On a machine whose cores are shared. */
const PATIENCE = 20_000;

export class Charon {
  readonly #socket: string;
  readonly #log: string;
  /** Bytes of the log that were read. */
  #read = 0;

  private constructor(
    readonly net: Namespaces,
    readonly part: string,
    readonly name: string,
    readonly child: ChildProcess,
  ) {
    this.#socket = join(net.directory, `${name}.vici`);
    this.#log = join(net.directory, `${name}.log`);
  }

  /** @param proposals of ESP: each is that of a child, childName(), of the connections `ip4` and `ip6` */
  static async start(net: Namespaces, part: string, own: End, other: End, proposals: readonly string[]): Promise<Charon> {
    const file = (suffix: string) => join(net.directory, `${own.name}.${suffix}`);
    writeFileSync(file("conf"), settings(file("vici"), file("log")));
    writeFileSync(file("swanctl"), connections(own, other, proposals));
    const env = { ...process.env, STRONGSWAN_CONF: file("conf") };
    const child = net.spawn(part, ["charon-systemd"], { stdio: ["ignore", "ignore", "inherit"], env });
    const charon = new Charon(net, part, own.name, child);
    if (!(await within(PATIENCE, () => existsSync(file("vici")) || child.exitCode !== null)) || child.exitCode !== null) {
      throw new Error(`charon ${own.name} did not start`);
    }
    await charon.control("--load-all", "--file", file("swanctl"));
    return charon;
  }

  /** swanctl; resolves when it has done what it was told. */
  async control(...words: readonly string[]): Promise<void> {
    const env = {
      ...process.env,
      STRONGSWAN_CONF: join(this.net.directory, `${this.name}.conf`),
      SWANCTL_DIR: this.net.directory,
    };
    const command = ["swanctl", ...words, "--uri", `unix://${this.#socket}`];
    const child = this.net.spawn(this.part, command, { stdio: ["ignore", "pipe", "pipe"], env });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (text) => (said += text));
    const [code] = await new Promise<unknown[]>((resolve) => child.once("close", (...args) => resolve(args)));
    if (code !== 0) throw new Error(`swanctl ${words.join(" ")} at ${this.name}: ${said}`);
  }

  /** The keys of the next child SA in the log, which came about on the initiative of this end or of the other. */
  async nextChild(initiative: "own" | "other"): Promise<Child> {
    const [out, back] = initiative === "own" ? ["initiator", "responder"] : ["responder", "initiator"];
    const all = await this.logged(/adding inbound ESP SA[\s\S]*?(adding|registering) outbound ESP SA\n.*SPI 0x[0-9a-f]+, src/);
    // An outbound SA of a child before it may come first.
    const log = all.slice(all.lastIndexOf("encryption initiator key"));
    return {
      inbound: { spi: spiIn(log, "inbound"), key: keyIn(log, back as string) },
      outbound: { spi: spiIn(log, "outbound"), key: keyIn(log, out as string) },
    };
  }

  /** Waits for this in what was not read of the log yet. @returns that, to the end of this */
  async logged(text: RegExp): Promise<string> {
    const find = () => text.exec(this.#unread());
    await within(PATIENCE, () => find() !== null);
    const found = find();
    if (found === null) throw new Error(`${this.name} does not log ${text}: ${withoutKeys(this.#unread())}`);
    const end = found.index + found[0].length;
    const log = this.#unread().slice(0, end);
    this.#read += end;
    return log;
  }

  /** latin1: a character is a byte. */
  #unread(): string {
    return readFileSync(this.#log, "latin1").slice(this.#read);
  }
}

export const childName = (family: 4 | 6, proposals: string) => `ip${family}-${proposals.replaceAll(",", "-")}`;

/** Requests are repeated soon, and for long; nothing is read of /etc. */
function settings(socket: string, log: string): string {
  return `charon-systemd {
  load_modular = no
  load = random nonce openssl hmac kdf kernel-libipsec kernel-netlink socket-default vici
  retransmit_timeout = 0.5
  retransmit_base = 1
  retransmit_tries = 40
  plugins {
    vici {
      socket = unix://${socket}
    }
  }
  filelog {
    test {
      path = ${log}
      flush_line = yes
      default = 1
      chd = 4
    }
  }
  journal {
    default = -1
  }
}
swanctl {
  load = random openssl
}
`;
}

function connections(own: End, other: End, proposals: readonly string[]): string {
  const connection = (family: 4 | 6) => `  ip${family} {
    version = 2
    mobike = no
    encap = yes
    proposals = aes128-sha256-ecp256
    local_addrs = ${OUTSIDE[family][own.outside]}
    remote_addrs = ${OUTSIDE[family][other.outside]}
    local {
      auth = psk
      id = ${own.name}
    }
    remote {
      auth = psk
      id = ${other.name}
    }
    children {
${proposals.map((proposal) => child(childName(family, proposal), proposal)).join("")}    }
  }
`;
  const child = (name: string, proposal: string) => `      ${name} {
        esp_proposals = ${proposal}
        local_ts = ${own.selectors}
        remote_ts = ${other.selectors}
      }
`;
  return `connections {\n${connection(4)}${connection(6)}}\nsecrets {\n  ike {\n    secret = "of this test"\n  }\n}\n`;
}

function spiIn(log: string, direction: "inbound" | "outbound"): number {
  return Number(new RegExp(`${direction} ESP SA\\n.*SPI (0x[0-9a-f]+)`).exec(log)?.[1]);
}

/** Of a dump in lines of 16 bytes: `09[CHD]   16: F7 11 63 8B      ..c.` */
function keyIn(log: string, role: string): string {
  const [, length, dump = ""] =
    new RegExp(`encryption ${role} key => (\\d+) bytes.*\\n((?:.*\\] +\\d+: .*\\n)+)`).exec(log) ?? [];
  const key = Array.from(dump.matchAll(/\] +\d+: ((?:[0-9A-F]{2} )+)/g), ([, bytes = ""]) => bytes.replaceAll(" ", "")).join("");
  if (key.length === 0 || key.length !== 2 * Number(length)) throw new Error(`no key of the ${role} in ${withoutKeys(log)}`);
  return key;
}

const withoutKeys = (log: string) => log.replaceAll(/(\] +\d+: ).*/g, "$1…");
