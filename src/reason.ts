// What becomes of a packet: the one list of fates. Each frame that a port receives or the device creates meets exactly
// one of them, and each has a counter per worker, so that the sum of all fates is what came in plus what was created.
//
// The fates of later stages (tunnels, ESP, NAT) are appended here; numbers are internal and never travel.

export const enum Fate {
  // Sent by the session table or straight out of an uplink
  forwarded,
  fromHost,
  copied,
  tunneled,
  outerFragment,
  packetTooBig,
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
  noRuleEsp,
  noRuleGeneve,
  noRuleVxlan,
  geneveControl,
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
  // Dropped under the rule of a tunnel
  noRoute,
  tooManyTunnels,
  failClosed,
  noHeadroom,
  tunnelFragment,
  tunnelMalformed,
  outerChecksum,
  ecnDrop,
  geneveVersion,
  geneveOptions,
  geneveCritical,
  geneveProtocol,
  geneveControlLimited,
  vxlanFlags,
  vxlanInnerVlan,
  noTunnel,
  tooBig,
  fragmentOverlap,
  reassemblyTimeout,
  espNoSa,
  espTooOld,
  espReplayed,
  espAuthentication,
  espMalformed,
  espPadding,
  espPayload,
  espExhausted,
  espFragment,
  // Ended here by design
  fragmented,
  reassembled,
  waiting,
  espDummy,
  espKeepalive,
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
  [Fate.tunneled]: ["tunneled", "out", "a tunnel with next action FORWARD sent it straight out"],
  [Fate.outerFragment]: ["outer-fragment", "out", "made by the device: a fragment of a tunnel's packet too big for its port"],
  [Fate.packetTooBig]: [
    "packet-too-big",
    "out",
    "made by the device: ICMP that tells a sender the size that a tunnel and the port behind it leave",
  ],
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
  [Fate.noRuleEsp]: ["no-rule-esp", "miss", "ESP that no rule is for"],
  [Fate.noRuleGeneve]: ["no-rule-geneve", "miss", "Geneve that no rule is for"],
  [Fate.noRuleVxlan]: ["no-rule-vxlan", "miss", "VXLAN that no rule is for"],
  [Fate.geneveControl]: [
    "geneve-control",
    "miss",
    "a Geneve control packet (O bit) of a decapsulating rule: for the application",
  ],
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
  [Fate.noRoute]: ["no-route", "drop", "sent straight out of a tunnel to a group MAC address, or to no port: it needs a route"],
  [Fate.tooManyTunnels]: ["too-many-tunnels", "drop", "more than 8 tunnels in a chain"],
  [Fate.failClosed]: ["fail-closed", "drop", "the rule that came next in its chain was deleted a moment ago"],
  [Fate.noHeadroom]: [
    "no-headroom",
    "drop",
    "longer with its tunnel headers than the device's memory for a frame, or than IP allows",
  ],
  [Fate.tunnelFragment]: ["tunnel-fragment", "drop", "a fragment of a tunnel's packet that could not be made whole"],
  [Fate.tunnelMalformed]: ["tunnel-malformed", "drop", "a tunnel's packet that is cut short or whose lengths disagree"],
  [Fate.outerChecksum]: ["outer-checksum", "drop", "a tunnel's packet with a wrong outer IP or UDP checksum, or none over IPv6"],
  [Fate.ecnDrop]: ["ecn-drop", "drop", "congestion marked outside, and the packet inside cannot say so (RFC 6040)"],
  [Fate.geneveVersion]: ["geneve-version", "drop", "a Geneve version other than 0"],
  [Fate.geneveOptions]: ["geneve-options", "drop", "Geneve options whose lengths do not add up"],
  [Fate.geneveCritical]: ["geneve-critical", "drop", "a critical Geneve option that is not known"],
  [Fate.geneveProtocol]: ["geneve-protocol", "drop", "Geneve with neither Ethernet nor IP inside"],
  [Fate.geneveControlLimited]: ["geneve-control-limited", "drop", "more Geneve control packets than the application is given"],
  [Fate.vxlanFlags]: ["vxlan-flags", "drop", "VXLAN without the I flag"],
  [Fate.vxlanInnerVlan]: [
    "vxlan-inner-vlan",
    "drop",
    "a VLAN tag inside VXLAN, and the tunnel does not keep them (RFC 7348 section 6.1)",
  ],
  [Fate.noTunnel]: ["no-tunnel", "drop", "a copy for a collector behind a tunnel that does not exist"],
  [Fate.tooBig]: [
    "too-big",
    "drop",
    "with its tunnel headers larger than the MTU of its port, and not to be fragmented (DF, or VXLAN)",
  ],
  [Fate.fragmentOverlap]: [
    "fragment-overlap",
    "drop",
    "a fragment of a tunnel's packet whose fragments overlap or contradict each other (RFC 5722)",
  ],
  [Fate.reassemblyTimeout]: [
    "reassembly-timeout",
    "drop",
    "a fragment of a tunnel's packet of which the rest did not come in time",
  ],
  [Fate.espNoSa]: ["esp-no-sa", "drop", "for an IPsec tunnel that has no SA for it"],
  [Fate.espTooOld]: ["esp-too-old", "drop", "ESP with a sequence number behind the replay window, or 0"],
  [Fate.espReplayed]: ["esp-replayed", "drop", "ESP with a sequence number that was received already"],
  [Fate.espAuthentication]: ["esp-authentication", "drop", "ESP whose integrity check value is wrong"],
  [Fate.espMalformed]: ["esp-malformed", "drop", "ESP that is cut short, or whose length is no multiple of 4"],
  [Fate.espPadding]: ["esp-padding", "drop", "ESP, decrypted, with padding that is not 1, 2, 3, … or is too long"],
  [Fate.espPayload]: [
    "esp-payload",
    "drop",
    "ESP, decrypted, whose next header the mode does not allow, or that holds no whole packet of it",
  ],
  [Fate.espExhausted]: ["esp-exhausted", "drop", "for a SA that has no sequence number left: rekey it"],
  [Fate.espFragment]: ["esp-fragment", "drop", "a fragment for ESP in transport mode, or of ESP that could not be made whole"],
  [Fate.fragmented]: ["fragmented", "consumed", "with its tunnel headers larger than the MTU of its port: it left in fragments"],
  [Fate.reassembled]: [
    "reassembled",
    "consumed",
    "a fragment that became part of a tunnel's packet, which has a fate of its own",
  ],
  [Fate.waiting]: [
    "waiting",
    "consumed",
    "a fragment that waits now for the rest of its datagram: counted until it meets its fate",
  ],
  [Fate.espDummy]: ["esp-dummy", "consumed", "ESP with nothing inside (next header 59)"],
  [Fate.espKeepalive]: ["esp-keepalive", "consumed", "a keepalive of UDP-encapsulated ESP (RFC 3948)"],
});

/** Indexed by Fate: 1 for those that send nothing. */
export const ENDS = Uint8Array.from(REASONS, ({ kind }) => (kind === "drop" || kind === "consumed" ? 1 : 0));

function list(table: Record<Exclude<Fate, Fate.count>, [string, FateKind, string]>): readonly Reason[] {
  return Object.values(table).map(([name, kind, sentence]) => ({ name, kind, sentence }));
}
