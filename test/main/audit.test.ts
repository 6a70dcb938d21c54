// What IPsec drops, from a worker to the log: SPI, sequence number and addresses (RFC 4303 section 3.4), so many a second.

import t from "tap";
import { watchAudit } from "../../src/main/audit.js";
import { NoticeRing } from "../../src/memory/notice-ring.js";
import { Fate } from "../../src/reason.js";
import { EspAudit } from "../../src/tunnel/esp-audit.js";
import { load, newBurst } from "../stage/device.js";

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
const MACS = "020000000002 020000000001";
const FOUR = hex(`${MACS} 8100 0064 0800 4500001c 00000000 40320000 c6336401 c0000202 11223344 00000007`);
const SIX = hex(
  `${MACS} 86dd 60000000 0008 3240 20010db8000000000000000000000001 20010db8000000000000000000000002 11223344 00000008`,
);

function collect() {
  const lines: unknown[][] = [];
  return { lines, log: { warn: (...line: unknown[]) => void lines.push(line) } };
}

t.test("each drop is told with its SPI, sequence number and addresses", async (t) => {
  const notices = new SharedArrayBuffer(NoticeRing.size());
  const audit = new EspAudit(new NoticeRing(notices), 10);
  const burst = newBurst();
  load(burst, [
    { frame: FOUR, port: 0 },
    { frame: SIX, port: 0 },
  ]);
  audit.note(burst, 0, Fate.espReplayed, 0x11223344, 7);
  audit.note(burst, 1, Fate.espAuthentication, 0xfffffff0 | 0, 0xffffffff | 0);
  const { lines, log } = collect();
  watchAudit([{ notices }], log)();
  t.match(lines, [
    [
      { spi: "0x11223344", sequence: 7, source: "198.51.100.1", destination: "192.0.2.2", reason: "esp-replayed" },
      /IPsec dropped a packet: .*received already/,
    ],
    [
      {
        spi: "0xfffffff0",
        sequence: 0xffffffff,
        source: "2001:db8::1",
        destination: "2001:db8::2",
        reason: "esp-authentication",
      },
      /integrity check/,
    ],
  ]);
  t.equal(lines.length, 2);
});

t.test("a flood is told of so many times a second, and how many more there were", async (t) => {
  const notices = new SharedArrayBuffer(NoticeRing.size());
  const audit = new EspAudit(new NoticeRing(notices), 3);
  const burst = newBurst();
  load(burst, [{ frame: FOUR, port: 0 }]);
  const { lines, log } = collect();
  const stop = watchAudit([{ notices }], log);
  for (burst.now = 5000; burst.now < 7000; burst.now += 10) audit.note(burst, 0, Fate.espTooOld, 1, 1);
  stop();
  t.equal(lines.length, 2 * 3 + 1);
  t.match(lines.at(-1), [/dropped 194 more/]);
  const none = new EspAudit(new NoticeRing(notices), 0);
  none.note(burst, 0, Fate.espTooOld, 1, 1);
  watchAudit([{ notices }], log)();
  t.equal(lines.filter(([first]) => typeof first === "object").length, 6, "0 a second: none");
});
