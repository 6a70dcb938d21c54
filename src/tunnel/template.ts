// Copies a rule's prepared header in front of a packet.

import type { Frames } from "../memory/frames.js";
import type { RuleLookup } from "../table/rule-lookup.js";

/** Both begin 2 past a multiple of 4, or the frame's place is another than in what was received. @param from in halves */
export function copyTemplate(
  { halves, words }: Frames,
  to: number,
  { records, recordHalves }: RuleLookup,
  from: number,
  length: number,
): void {
  const target = to >> 1;
  if ((to & 2) === 0) {
    for (let h = 0; h < length >> 1; h++) halves[target + h] = recordHalves[from + h];
    return;
  }
  halves[target] = recordHalves[from];
  const first = (to + 2) >> 2;
  const source = (from + 1) >> 1;
  const n = (length - 4) >> 2;
  for (let w = 0; w < n; w++) words[first + w] = records[source + w];
  const last = (length >> 1) - 1;
  halves[target + last] = recordHalves[from + last];
}
