// Makes a network interface ready for af_packet, and puts it back. AF_PACKET is a tap: the host's own stack still sees each
// frame, so an interface that the host uses is refused, and on the others the stack is kept quiet: no ARP, no IPv6.
// Merging of received frames (GRO, LRO) is switched off where the device lets us; on veth and tap the peer's stack merges
// whatever our end is set to, and src/port/gso.ts splits.
//
// restore() puts back what was changed, and nothing else. Permanent global IPv6 addresses, which the kernel forgets when
// IPv6 is disabled, are added again, without flags such as nodad; IPv6 routes beyond those that follow from the addresses
// are not.
// Only the main routing table is looked at for a default route (/proc/net/route).

import { readFileSync, writeFileSync } from "node:fs";
import type { AfPacketDriver, Driver } from "../config/config.js";
import { SluiceError } from "../errors.js";
import { native } from "../native.js";

/** Flags of <linux/if.h>. */
const enum Iff {
  up = 0x1,
  running = 0x40,
  noArp = 0x80,
}

/** ARPHRD_ETHER of <linux/if_arp.h>. */
const ETHERNET = 1;

/** Commands and flags of <linux/ethtool.h>. */
const enum Ethtool {
  getFlags = 0x25,
  setFlags = 0x26,
  getGro = 0x2b,
  setGro = 0x2c,
  flagLro = 1 << 15,
}

/** Scope and flags of /proc/net/if_inet6. */
const enum Inet6 {
  linkScope = 0x20,
  permanent = 0x80,
}

export interface LinkState {
  readonly present: boolean;
  readonly up: boolean;
  /** Has a carrier. */
  readonly running: boolean;
  readonly mtu: number;
  /** Changes when the interface is deleted and made again. */
  readonly ifindex: number;
}

export interface Prepared {
  /** Prepares the interface again after it was deleted and made anew: restore() will then put back that one. */
  renew(): void;
  /** Puts everything back; an interface that is gone by now needs nothing. Safe to call twice. */
  restore(): void;
}

const ABSENT: LinkState = { present: false, up: false, running: false, mtu: 0, ifindex: 0 };

export function linkState(name: string): LinkState {
  const link = native.link(name);
  if (link === null) return ABSENT;
  return {
    present: true,
    up: (link.flags & Iff.up) !== 0,
    running: (link.flags & Iff.running) !== 0,
    mtu: link.mtu,
    ifindex: link.ifindex,
  };
}

/** The MTU of the interface under a port, as it is now; undefined: no interface, no MTU. */
export function portMtu(driver: Driver): number | undefined {
  return driver.driver === "af_packet" ? linkState(driver.interface).mtu || undefined : undefined;
}

export function prepareInterface(driver: AfPacketDriver): Prepared {
  const name = driver.interface;
  let changed = prepare(driver);
  return {
    renew: () => {
      if (linkState(name).ifindex !== changed.ifindex) changed = prepare(driver);
    },
    restore: () => changed.undo(),
  };
}

export function rightsError(doing: string, capability: string, cause: unknown): SluiceError {
  return new SluiceError(
    "rights",
    `${doing} needs ${capability}: run as root, or grant it to node once with\n` +
      "  sudo setcap cap_net_raw,cap_net_admin+ep $(readlink -f $(which node))",
    { cause },
  );
}

interface Changes {
  readonly ifindex: number;
  undo(): void;
}

function prepare(driver: AfPacketDriver): Changes {
  const name = driver.interface;
  const doing = `preparing interface ${name}`;
  const link = native.link(name);
  if (link === null) {
    throw new SluiceError("interface", `${doing}: there is no such interface; there are ${native.links().join(", ")}`);
  }
  permitted(doing, "CAP_NET_RAW", () => native.probePacket());
  permitted(doing, "CAP_NET_ADMIN", () => native.linkFlags(name, 0, 0));
  if (link.type !== ETHERNET) {
    throw new SluiceError(
      "interface",
      `${doing}: it carries no Ethernet frames (ARPHRD type ${link.type}); choose another interface`,
    );
  }
  if (!driver.force) refuseUsed(name, link.master);

  // The way back, last change first.
  const back: (() => void)[] = [];
  const undo = () => {
    const same = linkState(name).ifindex === link.ifindex;
    while (back.length > 0) {
      const step = back.pop();
      if (same) attempt(() => step?.());
    }
  };
  try {
    permitted(doing, "CAP_NET_ADMIN", () => {
      disableIpv6(name, link.ifindex, back);
      if ((link.flags & Iff.noArp) === 0) {
        native.linkFlags(name, Iff.noArp, 0);
        back.push(() => native.linkFlags(name, 0, Iff.noArp));
      }
      switchOffMerging(name, back);
      if ((link.flags & Iff.up) === 0) {
        native.linkFlags(name, Iff.up, 0);
        back.push(() => native.linkFlags(name, 0, Iff.up));
      }
    });
  } catch (error) {
    undo();
    throw error;
  }
  return { ifindex: link.ifindex, undo };
}

function permitted(doing: string, capability: string, act: () => void): void {
  try {
    act();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "EPERM" || code === "EACCES") throw rightsError(doing, capability, cause);
    throw new SluiceError("interface", `${doing}: ${(cause as Error).message}`, { cause });
  }
}

/** What cannot be done on this kind of device, or on one that has just gone, is left undone. */
function attempt(act: () => void): void {
  try {
    act();
  } catch {}
}

function refuseUsed(name: string, master: number): void {
  const refuse = (found: string, remedy: string) => {
    throw new SluiceError(
      "interface",
      `preparing interface ${name}: ${found}, so the host uses it; ${remedy}, choose another interface, or set force: true`,
    );
  };
  if (native.hasIpv4(name)) refuse("it has an IPv4 address", `remove that (ip -4 addr flush dev ${name})`);
  if (master !== 0) refuse("it belongs to a bridge or bond", `take it out (ip link set ${name} nomaster)`);
  if (hasDefaultRoute(name)) refuse("a default route leads through it", `remove that (ip route del default dev ${name})`);
}

function hasDefaultRoute(name: string): boolean {
  // Interface, destination and mask are columns 0, 1 and 7; of the IPv6 table destination, its length and interface 0, 1, 9.
  const v4 = rows("/proc/net/route").some((row) => row[0] === name && row[1] === "00000000" && row[7] === "00000000");
  return v4 || rows("/proc/net/ipv6_route").some((row) => row[9] === name && /^0+$/.test(row[0] ?? "") && row[1] === "00");
}

function disableIpv6(name: string, ifindex: number, back: (() => void)[]): void {
  const file = `/proc/sys/net/ipv6/conf/${name}/disable_ipv6`;
  let before: string;
  try {
    before = readFileSync(file, "utf8").trim();
  } catch {
    return; // a kernel without IPv6
  }
  if (before !== "0") return;
  const addresses = rows("/proc/net/if_inet6").filter(
    ([, index, , scope, flags]) =>
      parseInt(index ?? "", 16) === ifindex &&
      parseInt(scope ?? "", 16) !== Inet6.linkScope &&
      (parseInt(flags ?? "", 16) & Inet6.permanent) !== 0,
  );
  writeFileSync(file, "1");
  back.push(() => {
    writeFileSync(file, "0");
    for (const [address, , prefix] of addresses) {
      attempt(() => native.addIpv6(ifindex, Buffer.from(address ?? "", "hex"), parseInt(prefix ?? "", 16)));
    }
  });
}

function switchOffMerging(name: string, back: (() => void)[]): void {
  attempt(() => {
    if (native.ethtool(name, Ethtool.getGro, 0) === 0) return;
    native.ethtool(name, Ethtool.setGro, 0);
    back.push(() => native.ethtool(name, Ethtool.setGro, 1));
  });
  attempt(() => {
    const flags = native.ethtool(name, Ethtool.getFlags, 0);
    if ((flags & Ethtool.flagLro) === 0) return;
    native.ethtool(name, Ethtool.setFlags, flags & ~Ethtool.flagLro);
    back.push(() => native.ethtool(name, Ethtool.setFlags, flags));
  });
}

/** The lines of a table under /proc/net, split at white space; none where the kernel has no such table. */
function rows(file: string): string[][] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+/));
  } catch {
    return [];
  }
}
