// Debian packages: installed when we are root, else the one line to run is printed.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { run, say, step, stop } from "./step.mjs";

/** Without these nothing can be built. `probe`: a command or header by which other distributions are asked. */
const BUILD = {
  "g++": "g++",
  make: "make",
  python3: "python3",
  "libpcap-dev": "/usr/include/pcap/pcap.h",
  "protobuf-compiler": "protoc",
  "libprotobuf-dev": "/usr/include/google/protobuf/timestamp.proto",
};

/** Tests that miss one of these are skipped with a reason. */
const TEST = {
  iproute2: "ip",
  ethtool: "ethtool",
  tcpdump: "tcpdump",
  tshark: "tshark",
  "python3-scapy": "scapy",
  "python3-cryptography": "/usr/lib/python3/dist-packages/cryptography/__init__.py",
  "libcap2-bin": "capsh",
  "python3-grpcio": "/usr/lib/python3/dist-packages/grpc/__init__.py",
  iperf3: "iperf3",
  // These start a service of the whole machine: unasked only where, as in containers, a policy keeps services from that.
  ...(existsSync("/usr/sbin/policy-rc.d")
    ? {
        "openvswitch-switch": "ovs-vswitchd",
        "charon-systemd": "charon-systemd",
        "strongswan-swanctl": "swanctl",
        "libcharon-extra-plugins": "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so",
        "libstrongswan-standard-plugins": "/usr/lib/ipsec/plugins/libstrongswan-openssl.so",
      }
    : {}),
};

/** With these the addon does more: the fastest of the AEAD providers. */
const SPEED = process.arch === "x64" ? { "libipsec-mb-dev": "/usr/include/intel-ipsec-mb.h" } : {};

/** @param building whether something is to be built now, so that a missing build tool must stop us */
export function systemPackages(tests, building) {
  const debian = present("dpkg-query") && present("apt-get");
  if (building) speedPackages(debian);
  const build = missing(BUILD, debian);
  const test = tests ? missing(TEST, debian) : [];
  const wanted = [...build, ...test];
  if (wanted.length === 0) return;
  if (debian && process.getuid() === 0) {
    const failure = installed(wanted);
    if (failure === undefined) return;
    say(`${failure}\n`);
  }
  const line = `as root: apt-get install -y --no-install-recommends ${wanted.join(" ")}`;
  const advice = debian ? line : `install what these Debian packages hold: ${wanted.join(" ")}`;
  if (build.length > 0 && building) stop(`sluice: building needs ${build.join(", ")}; ${advice}`);
  if (test.length > 0) say(`sluice: tests that need ${test.join(", ")} will be skipped; to have them, ${advice}\n`);
}

/** By themselves: where a distribution has none, all else is installed as ever. */
function speedPackages(debian) {
  const names = missing(SPEED, debian);
  if (names.length === 0 || (debian && process.getuid() === 0 && installed(names) === undefined)) return;
  say(`sluice: building without ${names.join(" ")}: AES-GCM and AES-CCM are left to the OpenSSL inside node\n`);
}

function missing(probes, debian) {
  const names = Object.keys(probes);
  return debian ? missingPackages(names) : names.filter((name) => !present(probes[name]));
}

function present(probe) {
  if (probe.startsWith("/")) return existsSync(probe) || existsSync(probe.replace("/usr/", "/usr/local/"));
  return (process.env.PATH ?? "").split(delimiter).some((dir) => existsSync(join(dir, probe)));
}

function missingPackages(names) {
  // dpkg-query ends with 1 when it does not know a name; what it does know it prints all the same.
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format
  const format = "-f=${Package} ${db:Status-Status}\n";
  const { stdout } = spawnSync("dpkg-query", ["-W", format, ...names], {
    encoding: "utf8",
  });
  const installed = new Set(stdout.split("\n").filter((line) => line.endsWith(" installed")));
  return names.filter((name) => !installed.has(`${name} installed`));
}

/** Installs them; returns what went wrong, if anything did. */
function installed(names) {
  try {
    step(`installing ${names.join(" ")}`, () => install(names));
    return undefined;
  } catch (error) {
    return error.message;
  }
}

function install(names) {
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const command = ["install", "-y", "--no-install-recommends", ...names];
  const lists = existsSync("/var/lib/apt/lists") ? readdirSync("/var/lib/apt/lists") : [];
  const known = lists.some((name) => name.includes("_Packages"));
  if (known) {
    try {
      run("apt-get", command, env);
      return;
    } catch {
      // The lists may be old: once more with new ones.
    }
  }
  run("apt-get", ["update"], env);
  run("apt-get", command, env);
}
