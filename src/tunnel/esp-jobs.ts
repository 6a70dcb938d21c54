// The AEAD jobs of a burst, and what the SAs count.

import { type Aead, Job } from "../aead/aead.js";
import { BURST } from "../memory/burst.js";
import { SLOT } from "../memory/frames.js";
import { Fate } from "../reason.js";
import { SaFailure } from "../table/sa.js";
import type { SaLookup } from "../table/sa-lookup.js";
import { SaLane } from "../table/sa-memory.js";
import { swap16 } from "../wire/checksum.js";
import { Esp } from "../wire/esp.js";

/** Bytes that are authenticated besides: SPI and sequence number (RFC 4106 section 5), extended or not. */
const PLAIN_AAD = 8;
const ESN_AAD = 12;
/** Where the longer form is put, in a slot's scratch. */
const SCRATCH_AAD = 32;

const FATES = fates({
  [SaFailure.tooOld]: Fate.espTooOld,
  [SaFailure.replayed]: Fate.espReplayed,
  [SaFailure.authentication]: Fate.espAuthentication,
  [SaFailure.malformed]: Fate.espMalformed,
  [SaFailure.padding]: Fate.espPadding,
  [SaFailure.payload]: Fate.espPayload,
  [SaFailure.exhausted]: Fate.espExhausted,
  [SaFailure.fragment]: Fate.espFragment,
  [SaFailure.ecn]: Fate.ecnDrop,
  [SaFailure.dummy]: Fate.espDummy,
});

export class EspJobs {
  // To be done: a packet that comes out of one tunnel may need the next while others are still coming out of the first.
  seal = new Int32Array(BURST * Job.size);
  seals = 0;
  open = new Int32Array(BURST * Job.size);
  opens = 0;
  // Done
  sealed = new Int32Array(BURST * Job.size);
  opened = new Int32Array(BURST * Job.size);

  constructor(readonly sas: SaLookup) {}

  /** Does what is to be done. */
  run(aead: Aead): void {
    const { seal, open, seals, opens } = this;
    this.seal = this.sealed;
    this.open = this.opened;
    this.sealed = seal;
    this.opened = open;
    this.seals = 0;
    this.opens = 0;
    if (seals > 0) aead.seal(seal, seals);
    if (opens > 0) aead.open(open, opens);
  }

  /** Counts it. @returns what becomes of the packet */
  failed(sa: number, failure: SaFailure): Fate {
    const { lanes } = this.sas;
    const at = (sa << SaLane.shift) + SaLane.failures + failure;
    lanes[at] = lanes[at] + 1;
    return FATES[failure];
  }

  /** A packet that was sealed, or opened and accepted. @param bytes without padding and trailer */
  count(sa: number, bytes: number, now: number): void {
    const { lanes } = this.sas;
    const at = sa << SaLane.shift;
    lanes[at + SaLane.packets] = lanes[at + SaLane.packets] + 1;
    lanes[at + SaLane.bytes] = lanes[at + SaLane.bytes] + bytes;
    lanes[at + SaLane.lastUsed] = now;
  }
}

/**
 * Writes the job with this number.
 * @param i position in the burst. @param esp byte offset of the ESP header, behind which stand the IV and `length` bytes of data
 * @param high word of the sequence number, which the header has not
 */
export function putJob(
  list: Int32Array,
  job: number,
  halves: Uint16Array,
  i: number,
  sa: number,
  esp: number,
  length: number,
  esn: boolean,
  high: number,
): void {
  const at = job * Job.size;
  list[at + Job.context] = sa;
  list[at + Job.iv] = esp + Esp.iv;
  list[at + Job.aad] = esp;
  list[at + Job.aadLength] = PLAIN_AAD;
  list[at + Job.data] = esp + Esp.payload;
  list[at + Job.length] = length;
  if (!esn) return;
  const aad = i * SLOT + SCRATCH_AAD;
  const to = aad >> 1;
  const from = esp >> 1;
  halves[to] = halves[from];
  halves[to + 1] = halves[from + 1];
  halves[to + 2] = swap16(high >>> 16);
  halves[to + 3] = swap16(high & 0xffff);
  halves[to + 4] = halves[from + 2];
  halves[to + 5] = halves[from + 3];
  list[at + Job.aad] = aad;
  list[at + Job.aadLength] = ESN_AAD;
}

function fates(table: Record<Exclude<SaFailure, SaFailure.count>, Fate>): readonly Fate[] {
  return Object.values(table);
}
