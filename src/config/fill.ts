// Options (what the user wrote) to Config (what the device works with): checked, defaults filled in, ports numbered,
// frozen.

import { check, type Limits } from "./check.js";
import type { Config, Driver, GrpcConfig, PortConfig, TlsConfig, TunnelDefaults } from "./config.js";
import { DEFAULTS } from "./defaults.js";
import type { HostOptions, Options } from "./options.js";
import { configError, type Problem } from "./problems.js";

/** @param locate where a path stands in the file it came from, for the error */
export function fill(options: Options, limits: Limits, locate?: (path: Problem["path"]) => string): Config {
  const problems = check(options, limits);
  if (problems.length > 0) throw configError(problems, locate);
  const ports = fillPorts(options);
  return deepFreeze({
    ports,
    nextHops: (options.nextHops ?? []).map(({ ip, port, mac = [], tunnel }) => ({
      ip,
      reach: tunnel === undefined ? { port: ports.findIndex(({ name }) => name === port), mac } : { tunnel },
    })),
    routes: (options.routes ?? []).map(({ to, port, sourceMac, destinationMac }) => ({
      ...to,
      port: ports.findIndex(({ name }) => name === port),
      sourceMac,
      destinationMac,
    })),
    tunnels: {
      capacity: options.tunnels?.capacity ?? DEFAULTS.tunnels.capacity,
      failClosed: options.tunnels?.failClosed ?? DEFAULTS.tunnels.failClosed,
      geneve: fillTunnel(options, options.geneve),
      vxlan: fillTunnel(options, options.vxlan),
      ipsec: fillTunnel(options, { ...options.ipsec, udpPort: options.ipsec?.nattPort }),
    },
    ipsec: {
      aead: options.ipsec?.aead ?? DEFAULTS.ipsec.aead,
      capacity: options.ipsec?.capacity ?? DEFAULTS.ipsec.capacity,
      auditRate: options.ipsec?.auditRate ?? DEFAULTS.ipsec.auditRate,
      ivState: options.ipsec?.ivState,
    },
    mtu: {
      onExceed: options.mtu?.onExceed ?? DEFAULTS.mtu.onExceed,
      icmpRate: options.mtu?.icmpRate ?? DEFAULTS.mtu.icmpRate,
    },
    reassembly: {
      memory: options.reassembly?.memory ?? DEFAULTS.reassembly.memory,
      timeout: options.reassembly?.timeout ?? DEFAULTS.reassembly.timeout,
      perSource: options.reassembly?.perSource ?? DEFAULTS.reassembly.perSource,
    },
    grpc: fillGrpc(options.grpc ?? {}),
    api: {
      ipv4Order: options.api?.ipv4Order ?? DEFAULTS.ipv4Order,
      missingSession: options.api?.missingSession ?? DEFAULTS.missingSession,
      revealKeys: options.api?.revealKeys ?? DEFAULTS.revealKeys,
    },
    workers: options.workers ?? DEFAULTS.workers,
    pin: options.pin ?? [],
    maxFrame: options.maxFrame ?? DEFAULTS.maxFrame,
    sessions: {
      capacity: options.sessions?.capacity ?? DEFAULTS.sessions.capacity,
      defaultTimeout: options.sessions?.defaultTimeout ?? DEFAULTS.sessions.defaultTimeout,
      duplicateFlow: options.sessions?.duplicateFlow ?? DEFAULTS.sessions.duplicateFlow,
      tcpClose: options.sessions?.tcpClose ?? DEFAULTS.sessions.tcpClose,
      closedBacklog: options.sessions?.closedBacklog ?? DEFAULTS.sessions.closedBacklog,
    },
    log: { level: options.log?.level ?? DEFAULTS.logLevel },
  });
}

function fillGrpc(options: NonNullable<Options["grpc"]>): GrpcConfig {
  const defaults = DEFAULTS.grpc;
  return {
    listen: options.listen ?? defaults.listen,
    tls: fillTls(options),
    maxMessageBytes: options.maxMessageBytes ?? defaults.maxMessageBytes,
    maxStreams: options.maxStreams ?? defaults.maxStreams,
    maxConnections: options.maxConnections ?? defaults.maxConnections,
    keepaliveInterval: options.keepaliveInterval ?? defaults.keepaliveInterval,
    keepaliveTimeout: options.keepaliveTimeout ?? defaults.keepaliveTimeout,
  };
}

function fillTls({ cert, key, clientCa }: NonNullable<Options["grpc"]>): TlsConfig | undefined {
  return cert === undefined || key === undefined ? undefined : { cert, key, clientCa };
}

type Given = { readonly [Key in keyof TunnelDefaults]?: TunnelDefaults[Key] | undefined };

function fillTunnel({ outer, innerVlan }: Options, kind: Given | undefined): TunnelDefaults {
  const defaults = DEFAULTS.tunnel;
  return {
    udpPort: kind?.udpPort ?? defaults.udpPort,
    udpChecksum: kind?.udpChecksum ?? defaults.udpChecksum,
    df: outer?.df ?? defaults.df,
    ttl: outer?.ttl ?? defaults.ttl,
    dscp: outer?.dscp ?? defaults.dscp,
    ecn: outer?.ecn ?? defaults.ecn,
    innerVlan: innerVlan ?? defaults.innerVlan,
    esn: kind?.esn ?? defaults.esn,
    replayWindow: kind?.replayWindow ?? defaults.replayWindow,
    nattSourcePort: kind?.nattSourcePort ?? defaults.nattSourcePort,
  };
}

type Written = Pick<PortConfig, "name" | "role" | "lif" | "mtu" | "driver">;

/** Each port in the order in which it was written, an uplink's host port right behind it. */
function fillPorts(options: Options): PortConfig[] {
  const written = (options.ports ?? []).flatMap((port): Written[] => {
    const { lif, name, mtu, host } = port;
    if (lif === undefined) return [{ name: name ?? "", role: "named", lif: 0, mtu, driver: fillDriver(port) }];
    const uplink: Written = {
      name: String(lif),
      role: "uplink",
      lif,
      mtu,
      driver: fillDriver(port),
    };
    if (host === undefined) return [uplink];
    return [uplink, { name: `host${lif}`, role: "host", lif, mtu: host.mtu, driver: fillDriver(host) }];
  });
  const uplink = (lif: number) => written.findIndex((port) => port.role === "uplink" && port.lif === lif);
  return written.map((port, index) => ({
    ...port,
    index,
    peer: port.role === "named" ? -1 : uplink(port.role === "host" ? port.lif : pairOf(port.lif)),
    host: port.role === "uplink" ? written.findIndex((other) => other.role === "host" && other.lif === port.lif) : -1,
  }));
}

/** 1↔2, 3↔4, … */
function pairOf(lif: number): number {
  return lif % 2 === 1 ? lif + 1 : lif - 1;
}

function fillDriver(options: HostOptions): Driver {
  switch (options.driver) {
    case "af_packet": {
      const { force, rxFrames, rxFrameSize, rxQueueBytes } = DEFAULTS.afPacket;
      return {
        driver: "af_packet",
        interface: options.interface,
        force: options.force ?? force,
        rxFrames: options.rxFrames ?? rxFrames,
        rxFrameSize: options.rxFrameSize ?? rxFrameSize,
        rxQueueBytes: options.rxQueueBytes ?? rxQueueBytes,
      };
    }
    case "file":
      return {
        driver: "file",
        in: options.in,
        out: options.out,
        loop: options.loop ?? DEFAULTS.file.loop,
        realtime: options.realtime ?? DEFAULTS.file.realtime,
        filter: options.filter,
      };
    case "memory":
      return { driver: "memory" };
  }
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === "object" && inner !== null) deepFreeze(inner);
  return Object.freeze(value);
}
