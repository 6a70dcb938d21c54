// What the schema cannot see: fields that contradict each other, or a bound that another room sets.

import { resolve } from "node:path";
import { DEFAULTS } from "./defaults.js";
import { isLoopback, parseListen } from "./listen.js";
import type { HostOptions, Options, PortOptions } from "./options.js";
import { foundExpected, type Problem } from "./problems.js";

/** Bounds that come from the rooms below. */
export interface Limits {
  /** Longest frame that frame memory has room for: FRAME_LIMIT of src/memory/frames.ts. */
  readonly maxFrame: number;
}

/** The shortest Ethernet frame, without FCS. */
const MIN_FRAME = 60;

export function check(options: Options, limits: Limits): Problem[] {
  const problems: Problem[] = [];
  checkPorts(options.ports ?? [], problems);
  checkNextHops(options, problems);
  checkRoutes(options, problems);
  checkTunnelPorts(options, problems);
  checkGrpc(options.grpc ?? {}, problems);
  const maxFrame = options.maxFrame ?? DEFAULTS.maxFrame;
  if (maxFrame < MIN_FRAME || maxFrame > limits.maxFrame) {
    problems.push({ path: ["maxFrame"], text: foundExpected(maxFrame, `${MIN_FRAME} to ${limits.maxFrame} bytes`) });
  }
  return problems;
}

function checkPorts(ports: readonly PortOptions[], problems: Problem[]): void {
  if (ports.length === 0) problems.push({ path: ["ports"], text: "no port, expected a list of at least one" });
  const unique = new Unique(problems);
  ports.forEach((port, i) => {
    const path = ["ports", i];
    if ((port.lif === undefined) === (port.name === undefined)) {
      const found = port.lif === undefined ? "neither lif nor name" : "both lif and name";
      problems.push({ path, text: `found ${found}, expected one of them: lif for an uplink, name for a collector` });
    }
    if (port.lif !== undefined) unique.claim("lif", String(port.lif), [...path, "lif"]);
    if (port.name !== undefined) {
      if (/^host\d+$/.test(port.name)) {
        problems.push({ path: [...path, "name"], text: foundExpected(port.name, "a name that no host port has (host<lif>)") });
      }
      unique.claim("name", port.name, [...path, "name"]);
    }
    checkDriver(port, path, unique, problems);
    if (port.host === undefined) return;
    if (port.lif === undefined)
      problems.push({ path: [...path, "host"], text: "only an uplink (a port with a lif) has a host port" });
    checkDriver(port.host, [...path, "host"], unique, problems);
  });
  ports.forEach((port, i) => {
    for (const [driver, path] of [
      [port, ["ports", i, "in"]],
      [port.host, ["ports", i, "host", "in"]],
    ] as const) {
      if (driver?.driver !== "file" || driver.in === undefined || !unique.written(driver.in)) continue;
      problems.push({ path, text: `${driver.in} is the out file of a port, which would overwrite it` });
    }
  });
}

function checkDriver(driver: HostOptions, path: (string | number)[], unique: Unique, problems: Problem[]): void {
  if (driver.driver === "af_packet") unique.claim("interface", driver.interface, [...path, "interface"]);
  if (driver.driver !== "file") return;
  if (driver.out !== undefined) unique.claim("out", driver.out, [...path, "out"]);
  if (driver.in !== undefined) return;
  for (const key of ["loop", "realtime", "filter"] as const) {
    if (driver[key] !== undefined)
      problems.push({ path: [...path, key], text: "is about the file to read: expected `in` beside it" });
  }
}

/** The names by which other settings refer to ports. */
function portNames(options: Options): string[] {
  return (options.ports ?? []).flatMap(({ lif, name, host }) =>
    lif === undefined ? [String(name)] : host === undefined ? [String(lif)] : [String(lif), `host${lif}`],
  );
}

function checkRoutes(options: Options, problems: Problem[]): void {
  const ports = portNames(options);
  const first = new Map<string, number>();
  (options.routes ?? []).forEach(({ to, port }, i) => {
    const path = ["routes", i];
    const name = `${to.address.join()}/${to.length}`;
    const other = first.get(name);
    if (other === undefined) first.set(name, i);
    else problems.push({ path: [...path, "to"], text: `is the prefix of routes[${other}] already` });
    if (!ports.includes(port))
      problems.push({ path: [...path, "port"], text: foundExpected(port, `a port: ${ports.join(", ")}`) });
  });
}

/** A UDP port announces one header: its standard's, or what is configured. */
const STANDARD_PORTS = { geneve: 6081, vxlan: 4789, esp: 4500 };

function checkTunnelPorts({ geneve, vxlan, ipsec }: Options, problems: Problem[]): void {
  const one = (key: string, port: number | undefined, taken: readonly (number | undefined)[], field = "udpPort") => {
    if (port === undefined || !taken.includes(port)) return;
    problems.push({ path: [key, field], text: foundExpected(port, "a port where no other kind of tunnel is expected") });
  };
  one("geneve", geneve?.udpPort, [STANDARD_PORTS.vxlan, STANDARD_PORTS.esp]);
  one("vxlan", vxlan?.udpPort, [STANDARD_PORTS.geneve, STANDARD_PORTS.esp, geneve?.udpPort]);
  const others = [STANDARD_PORTS.geneve, STANDARD_PORTS.vxlan, geneve?.udpPort, vxlan?.udpPort];
  one("ipsec", ipsec?.nattPort, others, "nattPort");
}

function checkNextHops(options: Options, problems: Problem[]): void {
  const ports = portNames(options);
  const first = new Map<string, number>();
  (options.nextHops ?? []).forEach(({ ip, port, mac, tunnel }, i) => {
    const path = ["nextHops", i];
    const other = first.get(ip.join());
    if (other === undefined) first.set(ip.join(), i);
    else problems.push({ path: [...path, "ip"], text: `is the address of nextHops[${other}] already` });
    if (tunnel === undefined ? port === undefined || mac === undefined : port !== undefined || mac !== undefined) {
      problems.push({ path, text: "expected the collector's port and mac, or the id of a tunnel that leads to it" });
    } else if (port !== undefined && !ports.includes(port)) {
      problems.push({ path: [...path, "port"], text: foundExpected(port, `a port: ${ports.join(", ")}`) });
    }
  });
}

function checkGrpc({ cert, key, clientCa, ...grpc }: NonNullable<Options["grpc"]>, problems: Problem[]): void {
  if (cert === undefined && key !== undefined) {
    problems.push({ path: ["grpc", "key"], text: "needs the certificate that it belongs to: expected grpc.cert beside it" });
  }
  if (key === undefined && cert !== undefined) {
    problems.push({ path: ["grpc", "cert"], text: "needs its private key: expected grpc.key beside it" });
  }
  if (clientCa !== undefined && cert === undefined && key === undefined) {
    const text = "asks clients for certificates, which needs TLS: expected grpc.cert and grpc.key beside it";
    problems.push({ path: ["grpc", "clientCa"], text });
  }
  // Half of a pair is said above; where it listens is no second mistake.
  const open = (cert !== undefined || key !== undefined || grpc.insecure) ?? false;
  checkListen(grpc.listen ?? DEFAULTS.grpc.listen, open, problems);
}

/** @param open it may listen beyond loopback */
function checkListen(text: string, open: boolean, problems: Problem[]): void {
  const path = ["grpc", "listen"];
  const listen = parseListen(text);
  if (listen === undefined) {
    problems.push({ path, text: foundExpected(text, "host:port, for example 127.0.0.1:3443 or [::1]:3443") });
  } else if (!open && !isLoopback(listen.host)) {
    const why = "beyond loopback, whoever reaches it can program the device";
    const remedy = "Set grpc.cert and grpc.key (TLS), and grpc.clientCa to know the clients; or grpc.insecure: true";
    problems.push({ path, text: `${foundExpected(text, "a loopback address such as 127.0.0.1:3443")}: ${why}. ${remedy}` });
  }
}

/** Values that may stand in one place only. */
class Unique {
  readonly #first = new Map<string, readonly (string | number)[]>();

  constructor(readonly problems: Problem[]) {}

  claim(kind: "lif" | "name" | "interface" | "out", value: string, path: readonly (string | number)[]): void {
    const key = place(kind, value);
    const first = this.#first.get(key);
    if (first === undefined) this.#first.set(key, path);
    else this.problems.push({ path, text: `found ${value}, which ports[${first[1]}] has already` });
  }

  /** Whether this file is written by a port. */
  written(file: string): boolean {
    return this.#first.has(place("out", file));
  }
}

/** The same file by two names is the same. */
function place(kind: string, value: string): string {
  return `${kind} ${kind === "out" ? resolve(value) : value}`;
}
