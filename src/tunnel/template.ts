// Copies a rule's prepared header in front of a packet.

import type { Frames } from "../memory/frames.js";
import type { RuleLookup } from "../table/rule-lookup.js";

/**
 * By words, of which `length` is a whole number.
 * @param to 2 past a multiple of 4, as `from`, where what was received begins; or a multiple of 4, as behind its Ethernet header
 * @param from in halves
 */
export function copyTemplate(
  { halves, words }: Frames,
  to: number,
  { records, recordHalves }: RuleLookup,
  from: number,
  length: number,
): void {
  if ((to & 2) === 0) {
    // Each word is of two.
    const target = to >> 2;
    const source = from >> 1;
    const n = length >> 2;
    let held = records[source];
    for (let w = 0; w < n; w++) {
      const next = records[source + w + 1];
      words[target + w] = (held >>> 16) | (next << 16);
      held = next;
    }
    return;
  }
  const target = to >> 1;
  halves[target] = recordHalves[from];
  const first = (to + 2) >> 2;
  const source = (from + 1) >> 1;
  const n = (length - 4) >> 2;
  for (let w = 0; w < n; w++) words[first + w] = records[source + w];
  const last = (length >> 1) - 1;
  halves[target + last] = recordHalves[from + last];
}
