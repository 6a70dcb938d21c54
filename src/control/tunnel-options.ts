// sluice.v1 TunnelOptions, to a tunnel's settings and back.

import type { TunnelSettings } from "../table/rule.js";
import { MAX_WINDOW } from "../table/sa-memory.js";
import { DontFragment, EcnMode, InnerVlan, type TunnelOptions, UdpChecksum } from "./gen/sluice_tunnel.js";

/** Stands for "copied" where a DSCP is a number. */
export const DSCP_COPY = 64;

const MIN_WINDOW = 64;

const UDP_CHECKSUM = pairs<TunnelSettings["udpChecksum"]>({
  default: UdpChecksum.UDP_CHECKSUM_DEFAULT,
  full: UdpChecksum.UDP_CHECKSUM_FULL,
  zero: UdpChecksum.UDP_CHECKSUM_ZERO,
});
const DF = pairs<TunnelSettings["df"]>({
  copy: DontFragment.DONT_FRAGMENT_COPY,
  set: DontFragment.DONT_FRAGMENT_SET,
  clear: DontFragment.DONT_FRAGMENT_CLEAR,
});
const ECN = pairs<TunnelSettings["ecn"]>({ normal: EcnMode.ECN_NORMAL, compatibility: EcnMode.ECN_COMPATIBILITY });
const INNER_VLAN = pairs<TunnelSettings["innerVlan"]>({ move: InnerVlan.INNER_VLAN_MOVE, keep: InnerVlan.INNER_VLAN_KEEP });

/** What the options change, or what is wrong with them. */
export function toSettings(options: TunnelOptions): Partial<TunnelSettings> | string {
  const { udpPort, ttl, dscp, esn, replayWindow, nattSourcePort } = options;
  if (udpPort !== undefined && udpPort > 0xffff) return `udp_port ${udpPort} is past 65535`;
  if (ttl !== undefined && (ttl < 1 || ttl > 255)) return `ttl ${ttl}: give 1 to 255`;
  if (dscp !== undefined && dscp > DSCP_COPY) return `dscp ${dscp}: give 0 to 63, or ${DSCP_COPY} for that of the packet inside`;
  if (replayWindow !== undefined && replayWindow !== 0 && (replayWindow < MIN_WINDOW || replayWindow > MAX_WINDOW)) {
    return `replay_window ${replayWindow}: give ${MIN_WINDOW} to ${MAX_WINDOW}, or 0 to look for no replays`;
  }
  if (nattSourcePort !== undefined && (nattSourcePort < 1 || nattSourcePort > 0xffff)) {
    return `natt_source_port ${nattSourcePort}: give 1 to 65535`;
  }
  const changes: { -readonly [Key in keyof TunnelSettings]?: TunnelSettings[Key] } = {};
  if (udpPort !== undefined) changes.udpPort = udpPort;
  if (ttl !== undefined) changes.ttl = ttl;
  if (dscp !== undefined) changes.dscp = dscp === DSCP_COPY ? "copy" : dscp;
  if (esn !== undefined) changes.esn = esn;
  if (replayWindow !== undefined) changes.replayWindow = replayWindow;
  if (nattSourcePort !== undefined) changes.nattSourcePort = nattSourcePort;
  if (options.udpChecksum !== undefined) {
    const word = UDP_CHECKSUM.word(options.udpChecksum);
    if (word === undefined) return `udp_checksum ${options.udpChecksum} is none of 0 (default), 1 (full), 2 (zero)`;
    changes.udpChecksum = word;
  }
  if (options.dontFragment !== undefined) {
    const word = DF.word(options.dontFragment);
    if (word === undefined) return `dont_fragment ${options.dontFragment} is none of 0 (copy), 1 (set), 2 (clear)`;
    changes.df = word;
  }
  if (options.ecn !== undefined) {
    const word = ECN.word(options.ecn);
    if (word === undefined) return `ecn ${options.ecn} is none of 0 (normal), 1 (compatibility)`;
    changes.ecn = word;
  }
  if (options.innerVlan !== undefined) {
    const word = INNER_VLAN.word(options.innerVlan);
    if (word === undefined) return `inner_vlan ${options.innerVlan} is none of 0 (move), 1 (keep)`;
    changes.innerVlan = word;
  }
  return changes;
}

export function fromSettings(id: bigint, settings: TunnelSettings): Required<TunnelOptions> {
  return {
    tunnelId: id,
    udpPort: settings.udpPort,
    udpChecksum: UDP_CHECKSUM.values[settings.udpChecksum],
    dontFragment: DF.values[settings.df],
    ttl: settings.ttl,
    dscp: settings.dscp === "copy" ? DSCP_COPY : settings.dscp,
    ecn: ECN.values[settings.ecn],
    innerVlan: INNER_VLAN.values[settings.innerVlan],
    esn: settings.esn,
    replayWindow: settings.replayWindow,
    nattSourcePort: settings.nattSourcePort,
  };
}

function pairs<Word extends string>(values: Readonly<Record<Word, number>>) {
  return {
    values,
    word: (value: number): Word | undefined => (Object.keys(values) as Word[]).find((word) => values[word] === value),
  };
}
