// ECN through tunnels (RFC 6040). Codepoints: 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE.

export const enum Ecn {
  notEct = 0,
  ce = 3,
}

/** What decapsulation does with a packet whose inner header says Not-ECT and whose outer header says CE. */
export const ECN_DROP = 4;

/** Section 4.2, figure 4: by inner × 4 + outer. */
const DECAPSULATED = Uint8Array.of(
  // inner Not-ECT: kept whatever the outer says, but for CE
  0,
  0,
  0,
  ECN_DROP,
  // inner ECT(1)
  1,
  1,
  1,
  3,
  // inner ECT(0)
  2,
  1,
  2,
  3,
  // inner CE
  3,
  3,
  3,
  3,
);

/** The ECN field to forward, or ECN_DROP. */
export function decapsulatedEcn(inner: number, outer: number): number {
  return DECAPSULATED[(inner << 2) | outer];
}
