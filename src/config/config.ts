// The filled, frozen configuration that everything below the composition root works with. What a user may write is in
// options.ts; fill.ts makes a Config of it and says what is wrong.

/** Each frame port is backed by one of these. Later issues add `af_xdp` and `pcap`. */
export type Driver = AfPacketDriver | FileDriver | MemoryDriver;

export interface AfPacketDriver {
  readonly driver: "af_packet";
  readonly interface: string;
  /** Serve an interface that the host uses (IPv4 address, default route, master). */
  readonly force: boolean;
  /** Frames in the receive ring, per worker. */
  readonly rxFrames: number;
  /** Bytes of one receive ring slot; what is longer comes through the socket's queue. */
  readonly rxFrameSize: number;
  /** Bytes that the socket's receive queue (super-frames, jumbo frames) may hold. */
  readonly rxQueueBytes: number;
}

export interface FileDriver {
  readonly driver: "file";
  /** pcap or pcapng to receive from; undefined: receives nothing. */
  readonly in?: string | undefined;
  /** pcap to write what is sent; undefined: what is sent is counted and gone. */
  readonly out?: string | undefined;
  /** Start over at the end of the file. */
  readonly loop: boolean;
  /** Keep the distances between the time stamps, instead of reading as fast as possible. */
  readonly realtime: boolean;
  /** libpcap filter expression: frames of `in` that do not match it are passed over. */
  readonly filter?: string | undefined;
}

/** For tests and benchmarks; the buffers are made by port/memory.ts. */
export interface MemoryDriver {
  readonly driver: "memory";
  /** Frames to receive (packFrames, PackedFrames); undefined: receives nothing. */
  readonly source?: SharedArrayBuffer | undefined;
  /** Frames to receive in all, starting over at the end of the source; undefined: each once, Infinity: without end. */
  readonly total?: number | undefined;
  /** Every worker receives all of them (benchmarks); else worker 0 alone does. */
  readonly everyWorker?: boolean | undefined;
  /** Keeps what is sent (createSink, readSink); undefined: it is counted and gone. */
  readonly sink?: SharedArrayBuffer | undefined;
}

/** `uplink`: network side, has a lif · `host`: the application's path behind an uplink · `named`: a collector, only sends. */
export type PortRole = "uplink" | "host" | "named";

export interface PortConfig {
  /** Position in Config.ports; the number by which the fast path knows it. */
  readonly index: number;
  /** "1", "host1", or the name of a collector. */
  readonly name: string;
  readonly role: PortRole;
  /** Logical interface of an uplink and of its host port; 0 for named ports. */
  readonly lif: number;
  /** Index of the other uplink of the pair (1↔2, 3↔4), or -1. For a host port: the index of its uplink. */
  readonly peer: number;
  /** Index of the host port of an uplink, or -1. */
  readonly host: number;
  /** Bytes that an IP packet may have that leaves here; undefined: what the interface has at the start, else any. */
  readonly mtu?: number | undefined;
  readonly driver: Driver;
}

/** A collector: where the copies of MIRROR and SNOOP go. */
export interface NextHopConfig {
  /** The address by which sessions name it: 4 or 16 bytes in network order. */
  readonly ip: readonly number[];
  readonly reach: DirectHop | TunnelHop;
}

export interface DirectHop {
  /** Index of the port that it is reached by. */
  readonly port: number;
  /** Its 6 bytes replace the destination MAC of a copy. */
  readonly mac: readonly number[];
}

export interface TunnelHop {
  /** Id of the encapsulating tunnel that copies go through, programmed as any other. */
  readonly tunnel: number;
}

/** Where packets to a prefix leave. */
export interface RouteConfig {
  /** 4 or 16 bytes in network order, zero behind the prefix. */
  readonly address: readonly number[];
  readonly length: number;
  /** Index of the port. */
  readonly port: number;
  readonly sourceMac: readonly number[];
  readonly destinationMac: readonly number[];
}

export interface TunnelsConfig {
  /** Rules that there may be at a time. */
  readonly capacity: number;
  /** Seconds for which a deleted rule keeps the packets of its chain from leaving. */
  readonly failClosed: number;
  /** Settings that tunnels begin with, by kind. */
  readonly geneve: TunnelDefaults;
  readonly vxlan: TunnelDefaults;
  readonly ipsec: TunnelDefaults;
}

export interface IpsecConfig {
  /** What encrypts and decrypts; `auto`: the fastest that is there. */
  readonly aead: "auto" | "node" | "openssl" | "ipsec-mb";
  /** Security associations that there may be at a time. */
  readonly capacity: number;
  /** Packets dropped by IPsec that a worker tells of in the log per second; all are counted. */
  readonly auditRate: number;
  /** File in which sequence numbers are reserved before use, so that no IV repeats after a restart either. */
  readonly ivState?: string | undefined;
}

/** As TunnelSettings of src/table/rule.ts. */
export interface TunnelDefaults {
  /** 0: the protocol's own. */
  readonly udpPort: number;
  readonly udpChecksum: "default" | "full" | "zero";
  readonly df: "copy" | "set" | "clear";
  readonly ttl: number;
  readonly dscp: "copy" | number;
  readonly ecn: "normal" | "compatibility";
  readonly innerVlan: "move" | "keep";
  readonly esn: boolean;
  readonly replayWindow: number;
  readonly nattSourcePort: number;
}

/** What becomes of packets that a tunnel has made too big for their port, and that must not be fragmented. */
export interface MtuConfig {
  /** `icmp`: dropped, and their sender is told what fits. */
  readonly onExceed: "icmp" | "drop";
  /** ICMP messages per second and worker at the most. */
  readonly icmpRate: number;
}

/** Fragments of packets that a decapsulating rule is for. */
export interface ReassemblyConfig {
  /** Bytes of frames that may wait, per worker. */
  readonly memory: number;
  /** Seconds that they wait. */
  readonly timeout: number;
  /** Datagrams of one source address at a time, per worker. */
  readonly perSource: number;
}

export interface SessionsConfig {
  /** Sessions that the table holds at the most: 1 … 8,388,608. */
  readonly capacity: number;
  /** Seconds of silence after which a session ages when its cache_timeout is 0. */
  readonly defaultTimeout: number;
  readonly duplicateFlow: "reject" | "shadow";
  readonly tcpClose: "application" | "device";
  /** Closed sessions kept for GetClosedSessions; past it the oldest is dropped and counted. */
  readonly closedBacklog: number;
}

/** Paths of PEM files. */
export interface TlsConfig {
  /** The server's certificate, then those between it and a root, if any. */
  readonly cert: string;
  readonly key: string;
  /** Clients must show a certificate that one of these signed. */
  readonly clientCa?: string | undefined;
}

export interface GrpcConfig {
  /** host:port */
  readonly listen: string;
  /** undefined: plaintext. */
  readonly tls?: TlsConfig | undefined;
  /** Longest message that a client may send. */
  readonly maxMessageBytes: number;
  /** Streams that one connection may have open; a client that wants more waits. */
  readonly maxStreams: number;
  /** Connections that may be open; further ones are closed at once. */
  readonly maxConnections: number;
  /** Seconds between two pings on a connection. */
  readonly keepaliveInterval: number;
  /** Seconds that a client has to answer one; then its connection is closed and its calls are cancelled. */
  readonly keepaliveTimeout: number;
}

export interface Config {
  readonly ports: readonly PortConfig[];
  readonly nextHops: readonly NextHopConfig[];
  readonly routes: readonly RouteConfig[];
  readonly tunnels: TunnelsConfig;
  readonly ipsec: IpsecConfig;
  readonly mtu: MtuConfig;
  readonly reassembly: ReassemblyConfig;
  readonly grpc: GrpcConfig;
  readonly api: {
    readonly ipv4Order: "s_addr" | "host";
    readonly missingSession: "response" | "status";
    /** Answers have the keys of security associations. */
    readonly revealKeys: boolean;
  };
  readonly workers: number;
  /** Processor for worker i (pin[i % pin.length]); empty: not pinned. */
  readonly pin: readonly number[];
  /** Longest frame without FCS, in bytes. */
  readonly maxFrame: number;
  readonly sessions: SessionsConfig;
  readonly log: { readonly level: "debug" | "info" | "warn" | "error" };
}
