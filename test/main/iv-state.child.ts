// The process that iv-state.test.ts kills: seals with two keys in a loop, and says which IV it uses before it would use it.

import { randomBytes } from "node:crypto";
import { writeSync } from "node:fs";
import { IvFile } from "../../src/main/iv-state.js";
import { SaLookup } from "../../src/table/sa-lookup.js";
import { allocateSas, Sa } from "../../src/table/sa-memory.js";
import { SaTable } from "../../src/table/sa-table.js";
import { keyOf, saOf } from "../table/sa-rig.js";

const [path, block] = process.argv.slice(2) as [string, string];
const memory = allocateSas(2, 1);
const ivs = new IvFile(path, { capacity: memory.keys, block: Number(block) });
const table = new SaTable(memory, { random: randomBytes, fingerprint: ivs.fingerprint, ivs });
const { sequences, records } = new SaLookup(memory, 0);
const counters = [1, 2].map((n) => records[table.add(saOf(keyOf(n), { esn: true }), 0) * Sa.size + Sa.counter] as number);
const line = Buffer.alloc(20);
for (let n = 0; ; n++) {
  if (n % 16 === 0) table.extend();
  const key = n & 1;
  if (!sequences.next(counters[key] as number, true)) continue;
  line.writeUInt32BE(key);
  line.writeUInt32BE(sequences.high, 4);
  line.writeUInt32BE(sequences.low >>> 0, 8);
  line.writeInt32BE(sequences.ivHigh, 12);
  line.writeInt32BE(sequences.ivLow, 16);
  say(line);
}

/** The pipe may be full: its reader takes its time. */
function say(line: Buffer): void {
  for (;;) {
    try {
      writeSync(1, line);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
  }
}
