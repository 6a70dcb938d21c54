// A session as control knows it: what the API asks for, and what it reports. Bytes and numbers only: no proto types.

/** As openoffload.v2.ActionType. */
export const enum Action {
  drop,
  forward,
  mirror,
  snoop,
}

/** As openoffload.v2.SessionState. */
export const enum State {
  established,
  closing1,
  closing2,
  closed,
}

/** As openoffload.v2.SessionCloseCode. */
export const enum CloseCode {
  notClosed,
  finAck,
  rst,
  timeout,
}

export interface NewSession {
  /** 0: the table assigns one, from 2147483647 downwards. */
  readonly id: bigint;
  readonly inLif: number;
  /** 0: untagged. */
  readonly inVlan: number;
  readonly outLif: number;
  readonly outVlan: number;
  readonly ipv6: boolean;
  /** 4 or 16 bytes in network order. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** 6 or 17. */
  readonly protocol: number;
  readonly action: Action;
  /** MIRROR and SNOOP: index of the next hop (Config.nextHops) that gets a copy; else 0. */
  readonly nextHop: number;
  /** Seconds of silence after which it ages; > 0. */
  readonly timeout: number;
}

export interface SessionInfo {
  readonly id: bigint;
  readonly inPackets: number;
  readonly outPackets: number;
  readonly inBytes: number;
  readonly outBytes: number;
  readonly state: State;
  readonly closeCode: CloseCode;
  /** Milliseconds since the epoch. */
  readonly startTime: number;
  /** Milliseconds since the epoch; 0 while it lives. */
  readonly endTime: number;
}
