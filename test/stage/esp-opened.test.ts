// ESP that others sealed, opened by the device: every suite in every mode (RFC 4106, RFC 4309, RFC 3948, RFC 4303 section 3.1.2).

import t from "tap";
import { Fate } from "../../src/reason.js";
import { Next } from "../../src/table/rule.js";
import { oracle } from "./esp-oracle.js";
import { dec, frames, saOf, setTop, suiteName } from "./esp-rig.js";
import { CASES, INNER, isNatt, isTunnel, SIZES, START, spiOf, WAYS, wayName } from "./esp-suites.js";
import { ETHER, hex, IP4, IP6 } from "./tunnel-frames.js";
import { TunnelRig } from "./tunnel-rig.js";

const made = frames(Object.fromEntries(Object.entries(INNER).map(([name, packet]) => [name, `${ETHER}/${packet}`])));
const MACS = 12;
const TYPE = 14;

const asked = CASES.flatMap(({ suite, esn }) =>
  WAYS.flatMap((way) =>
    SIZES.map((size, k) => {
      const number = (esn ? START : 0) + k + 1;
      return {
        packet: hex(made.frames.get(`${way.inner}/${size}`)?.subarray(TYPE)),
        outer: isTunnel(way.mode) ? way.outer : 0,
        spi: spiOf(suite, esn, way),
        seq: number % 2 ** 32,
        high: esn ? Math.floor(number / 2 ** 32) : null,
        natt: isNatt(way.mode),
        suite,
      };
    }),
  ),
);
const sealed =
  made.skip === false
    ? oracle<string[]>(
        `out = []
for a in asked:
    ip = bytes.fromhex(a.pop('packet')); outer = a.pop('outer')
    tunnel = {0: None, 4: ${IP4}, 6: ${IP6}}[outer]
    p = sealed((IP if ip[0] >> 4 == 4 else IPv6)(ip), tunnel=tunnel, **a)
    out.append(bytes(p).hex())`,
        asked,
      )
    : [];

function tagged(packet: Uint8Array, vlan: number): Uint8Array {
  const macs = made.frames.get("4/0")?.subarray(0, MACS) as Uint8Array;
  return Uint8Array.of(
    ...macs,
    0x81,
    0,
    vlan >> 8,
    vlan,
    ...((packet[0] as number) >> 4 === 4 ? [0x08, 0] : [0x86, 0xdd]),
    ...packet,
  );
}

CASES.forEach(({ suite, esn }, c) => {
  t.test(
    `${suiteName(suite)}${esn ? " with ESN" : ""}: what others sealed comes out as it was`,
    { skip: made.skip },
    async (t) => {
      const rig = new TunnelRig();
      WAYS.forEach((way, w) => {
        const match = { ingress: { port: 1, vlan: way.vlan } };
        rig.add(w + 1, match, dec(way.mode, suite, spiOf(suite, esn, way)), Next.forward, { esn });
        if (esn) setTop(rig, w + 1, Math.floor(START / 2 ** 32), (START % 2 ** 32) | 0);
        const first = (c * WAYS.length + w) * SIZES.length;
        const arrivals = SIZES.map((_, k) => ({
          frame: tagged(Buffer.from(sealed[first + k] as string, "hex"), way.vlan),
          port: 1,
        }));
        rig.receive(...arrivals).forEach(({ fate, frame }, k) => {
          const packet = made.frames.get(`${way.inner}/${SIZES[k]}`)?.subarray(TYPE) as Uint8Array;
          t.same([fate, hex(frame)], [Fate.tunneled, hex(tagged(packet, way.vlan))], `${wayName(way)}, ${SIZES[k]} bytes`);
        });
        t.match(saOf(rig, w + 1), { packets: SIZES.length, sequence: BigInt((esn ? START : 0) + SIZES.length) });
      });
    },
  );
});
