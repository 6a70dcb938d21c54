// ESP that the device seals, opened by others: every suite in every mode (RFC 4106, RFC 4309, RFC 3948, RFC 4303 section 3.1.2).

import t from "tap";
import { Fate } from "../../src/reason.js";
import { Next } from "../../src/table/rule.js";
import { oracle } from "./esp-oracle.js";
import { enc, frames, setSequence, suiteName } from "./esp-rig.js";
import { CASES, INNER, isNatt, isTunnel, outerOf, SIZES, START, spiOf, WAYS, wayName } from "./esp-suites.js";
import { ETHER, hex } from "./tunnel-frames.js";
import { TunnelRig } from "./tunnel-rig.js";

const made = frames(
  Object.fromEntries(
    WAYS.flatMap(({ vlan, inner }) =>
      SIZES.map((size) => [`${vlan}/${size}`, `${ETHER}/Dot1Q(vlan=${vlan})/${INNER[`${inner}/${size}`]}`]),
    ),
  ),
);
const TAGGED = 18;

interface Sealed {
  readonly name: string;
  readonly suite: number;
  readonly esn: boolean;
  readonly spi: number;
  readonly frame: Uint8Array;
  /** The IP packet that was sealed. */
  readonly packet: string;
  readonly fate: Fate | undefined;
}

const all: (Sealed & { asked: unknown })[] = [];
if (made.skip === false) {
  for (const { suite, esn } of CASES) {
    const rig = new TunnelRig();
    WAYS.forEach((way, i) => {
      const match = { ingress: { port: 0, vlan: way.vlan } };
      rig.add(i + 1, match, enc(way.mode, suite, spiOf(suite, esn, way), outerOf(way)), Next.forward, { esn });
      if (esn) setSequence(rig, i + 1, START);
      const arrivals = SIZES.map((size) => ({ frame: made.frames.get(`${way.vlan}/${size}`) as Uint8Array, port: 0 }));
      rig.receive(...arrivals).forEach(({ fate, frame }, k) => {
        const spi = spiOf(suite, esn, way);
        const tunnel = isTunnel(way.mode);
        const sequence = (esn ? START : 0) + k + 1;
        all.push({
          ...{ suite, esn, spi, frame, fate },
          name: `${wayName(way)}, ${SIZES[k]} bytes`,
          packet: hex(arrivals[k]?.frame.subarray(TAGGED)),
          asked: { ip: hex(frame.subarray(TAGGED)), suite, spi, tunnel, high: esn ? Math.floor(sequence / 2 ** 32) : null, natt: isNatt(way.mode) },
        });
      });
    });
  }
}
const opened =
  made.skip === false
    ? oracle<string[]>(
        `out = []
for a in asked:
    ip = bytes.fromhex(a.pop('ip'))
    try: out.append(bytes(opened((IP if ip[0] >> 4 == 4 else IPv6)(ip), **a)).hex())
    except Exception as e: out.append(repr(e))`,
        all.map(({ asked }) => asked),
      )
    : [];

for (const { suite, esn } of CASES) {
  t.test(`${suiteName(suite)}${esn ? " with ESN" : ""}: others open what was sealed`, { skip: made.skip }, async (t) => {
    let n = 0;
    all.forEach((one, i) => {
      if (one.suite !== suite || one.esn !== esn) return;
      t.same([one.fate, opened[i]], [Fate.tunneled, one.packet], one.name);
      n++;
    });
    t.equal(n, WAYS.length * SIZES.length);
  });
}
