// What becomes of a packet: the one list of fates. Each frame that a port receives or the device creates meets exactly
// one of them, and each has a counter per worker, so that the sum of all fates is what came in plus what was created.
//
// The fates of later stages (tunnels, ESP, NAT) are appended here; numbers are internal and never travel.

export const enum Fate {
  // Sent by the session table or straight out of an uplink
  forwarded,
  fromHost,
  copied,
  // The miss path: to the host port, or to the peer uplink where there is none
  noSession,
  snooped,
  tcpControl,
  notIp,
  notTcpUdp,
  fragment,
  ipOptions,
  extensionHeader,
  doubleTagged,
  malformed,
  // Dropped
  sessionDrop,
  noPeer,
  collectorRx,
  oversize,
  unknownGso,
  malformedGso,
  truncated,
  txFull,
  txDown,
  txTooBig,
  workerLost,
  count,
}

/** `out`: decided by a session or by the host · `miss`: left to the application · `drop` · `consumed`: ended here by design. */
export type FateKind = "out" | "miss" | "drop" | "consumed";

export interface Reason {
  /** Name in reports and metrics. */
  readonly name: string;
  readonly kind: FateKind;
  readonly sentence: string;
}

/** Indexed by Fate. */
export const REASONS: readonly Reason[] = list({
  [Fate.forwarded]: ["forwarded", "out", "a session with action FORWARD or MIRROR sent it out of the other interface"],
  [Fate.fromHost]: ["from-host", "out", "it came from the application and left by its uplink"],
  [Fate.copied]: ["copied", "out", "made by the device: a copy for the collector of a session with action MIRROR or SNOOP"],
  [Fate.noSession]: ["no-session", "miss", "no session has its 5-tuple"],
  [Fate.snooped]: ["snooped", "miss", "a session with action SNOOP left it to the application"],
  [Fate.tcpControl]: ["tcp-control", "miss", "TCP SYN, FIN or RST of a known session: the application sees these"],
  [Fate.notIp]: ["not-ip", "miss", "neither IPv4 nor IPv6"],
  [Fate.notTcpUdp]: ["not-tcp-udp", "miss", "IP, but neither TCP nor UDP"],
  [Fate.fragment]: ["fragment", "miss", "an IP fragment: sessions hold whole datagrams only"],
  [Fate.ipOptions]: ["ip-options", "miss", "an IPv4 header with options"],
  [Fate.extensionHeader]: ["extension-header", "miss", "an IPv6 extension header before TCP or UDP"],
  [Fate.doubleTagged]: ["double-tagged", "miss", "more than one VLAN tag"],
  [Fate.malformed]: ["malformed", "miss", "a header that is cut short or whose lengths disagree"],
  [Fate.sessionDrop]: ["session-drop", "drop", "a session with action DROP"],
  [Fate.noPeer]: ["no-peer", "drop", "its port has neither a host port nor a peer to send it to"],
  [Fate.collectorRx]: ["collector-rx", "drop", "received on a named port: these only send"],
  [Fate.oversize]: ["oversize", "drop", "longer than maxFrame"],
  [Fate.unknownGso]: ["unknown-gso", "drop", "a merged frame of a kind that Sluice cannot split"],
  [Fate.malformedGso]: ["malformed-gso", "drop", "a merged frame or unfinished checksum whose offsets do not fit its headers"],
  [Fate.truncated]: ["truncated", "drop", "the kernel handed over only part of it: its receive buffer was full"],
  [Fate.txFull]: ["tx-full", "drop", "the transmit queue of its port took no more"],
  [Fate.txDown]: ["tx-down", "drop", "the interface of its port is down or gone"],
  [Fate.txTooBig]: [
    "tx-too-big",
    "drop",
    "its port refused its size: longer than the MTU allows, or shorter than an Ethernet header",
  ],
  [Fate.workerLost]: ["worker-lost", "drop", "in the hands of a worker that died"],
});

function list(table: Record<Exclude<Fate, Fate.count>, [string, FateKind, string]>): readonly Reason[] {
  return Object.values(table).map(([name, kind, sentence]) => ({ name, kind, sentence }));
}
