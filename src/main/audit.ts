// What IPsec drops, in the log: what workers tell of, by SPI, sequence number and addresses.

import ipaddr from "ipaddr.js";
import { NoticeRing } from "../memory/notice-ring.js";
import { REASONS } from "../reason.js";
import { EspNotice } from "../tunnel/esp-audit.js";
import type { WorkerPlan } from "../worker/messages.js";
import type { Log } from "./log.js";

/** Milliseconds between two looks. */
const PERIOD = 500;

/** @returns what ends it */
export function watchAudit(plans: readonly Pick<WorkerPlan, "notices">[], log: Pick<Log, "warn">): () => void {
  const rings = plans.map(({ notices }) => new NoticeRing(notices));
  const look = () => {
    const untold = rings.reduce((sum, ring) => sum + ring.drain((at) => tell(ring.words, at, log)), 0);
    if (untold > 0) log.warn(`IPsec dropped ${untold} more: see \`sluice sa list\` and \`sluice stats\``);
  };
  const timer = setInterval(look, PERIOD);
  return () => {
    clearInterval(timer);
    look();
  };
}

function tell(words: Int32Array, at: number, log: Pick<Log, "warn">): void {
  const { name, sentence } = REASONS[words[at + EspNotice.fate]];
  const bytes = new Uint8Array(words.buffer, (at + EspNotice.source) * 4, 32);
  const length = words[at + EspNotice.version] === 6 ? 16 : 4;
  const address = (from: number) => ipaddr.fromByteArray([...bytes.subarray(from, from + length)]).toString();
  const facts = {
    spi: `0x${(words[at + EspNotice.spi] >>> 0).toString(16)}`,
    sequence: words[at + EspNotice.sequence] >>> 0,
    source: address(0),
    destination: address(16),
    reason: name,
  };
  log.warn(facts, `IPsec dropped a packet: ${sentence}`);
}
