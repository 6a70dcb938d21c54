// ESP that the device seals, opened by others: every suite in every mode (RFC 4106, RFC 4309, RFC 3948, RFC 4303 section 3.1.2).

import t from "tap";
import { Fate } from "../../src/reason.js";
import { Next } from "../../src/table/rule.js";
import { oracle } from "./esp-oracle.js";
import { enc, frames, icvOf, keysOf, setSequence, suiteName } from "./esp-rig.js";
import { CASES, INNER, isNatt, isTunnel, outerOf, SIZES, START, spiOf, WAYS, type Way, wayName } from "./esp-suites.js";
import { ETHER, hex } from "./tunnel-frames.js";
import { TunnelRig } from "./tunnel-rig.js";
import { noTshark, tsharkWith } from "./verdict.js";

const made = frames(
  Object.fromEntries(
    WAYS.flatMap(({ vlan, inner }) =>
      SIZES.map((size) => [`${vlan}/${size}`, `${ETHER}/Dot1Q(vlan=${vlan})/${INNER[`${inner}/${size}`]}`]),
    ),
  ),
);
const TAGGED = 18;
const frameOf = (way: Way, size: number) => made.frames.get(`${way.vlan}/${size}`) as Uint8Array;

interface Sealed {
  readonly suite: number;
  readonly esn: boolean;
  readonly way: Way;
  readonly size: number;
  readonly fate: Fate;
  readonly frame: Uint8Array;
  /** The sequence number. */
  readonly number: number;
}

const all: Sealed[] = [];
if (made.skip === false) {
  for (const { suite, esn } of CASES) {
    const rig = new TunnelRig();
    WAYS.forEach((way, i) => {
      const match = { ingress: { port: 0, vlan: way.vlan } };
      rig.add(i + 1, match, enc(way.mode, suite, spiOf(suite, esn, way), outerOf(way)), Next.forward, { esn });
      if (esn) setSequence(rig, i + 1, START);
      const out = rig.receive(...SIZES.map((size) => ({ frame: frameOf(way, size), port: 0 })));
      out.forEach(({ fate, frame }, k) => {
        all.push({ suite, esn, way, size: SIZES[k] as number, fate, frame, number: (esn ? START : 0) + k + 1 });
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
        all.map(({ suite, esn, way, frame, number }) => ({
          ip: hex(frame.subarray(TAGGED)),
          spi: spiOf(suite, esn, way),
          tunnel: isTunnel(way.mode),
          high: esn ? Math.floor(number / 2 ** 32) : null,
          natt: isNatt(way.mode),
          suite,
        })),
      )
    : [];

for (const { suite, esn } of CASES) {
  t.test(`${suiteName(suite)}${esn ? " with ESN" : ""}: others open what was sealed`, { skip: made.skip }, async (t) => {
    let n = 0;
    all.forEach((one, i) => {
      if (one.suite !== suite || one.esn !== esn) return;
      const packet = hex(frameOf(one.way, one.size).subarray(TAGGED));
      t.same([one.fate, opened[i]], [Fate.tunneled, packet], `${wayName(one.way)}, ${one.size} bytes`);
      n++;
    });
    t.equal(n, WAYS.length * SIZES.length);
  });
}

const NAME = "RFC 4106, RFC 4303 2.4: tshark decrypts AES-GCM of every ICV size; padding is 1, 2, 3 and no more than needed";
t.test(NAME, { skip: made.skip === false ? noTshark : made.skip }, async (t) => {
  const gcm = all.filter(({ suite, esn }) => (suite & 2) === 0 && !esn);
  const keys = gcm.flatMap(({ suite, esn, way, size }) => {
    if (size !== 0) return [];
    const { spi, key, salt } = keysOf(suite, spiOf(suite, esn, way));
    const algorithm = `AES-GCM with ${icvOf(suite)} octet ICV [RFC4106]`;
    return `uat:esp_sa:"IPv${way.outer}","*","*","0x${spi.toString(16)}","${algorithm}","0x${hex(key)}${hex(salt)}","NULL",""`;
  });
  const seen = tsharkWith(
    ["esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE", ...keys],
    gcm.map(({ frame }) => frame),
    ...["esp.icv_good", "esp.pad_len", "esp.pad", "esp.protocol", "udp.length", "ip.checksum.status", "udp.checksum.status"],
  );
  gcm.forEach(({ suite, way, size }, i) => {
    const [good, length, pad, next, lengths = "", ip, udp] = seen[i] as string[];
    const padding = -(size + 2) & 3;
    const protocol = !isTunnel(way.mode) ? "0x11" : way.inner === 4 ? "0x04" : "0x29";
    const name = `${suiteName(suite)}, ${wayName(way)}, ${size} bytes`;
    t.same([good, length, pad], ["1", `${padding}`, ["", "01", "0102", "010203"][padding]], name);
    t.same([next, lengths.split(",").at(-1)], [protocol, `${8 + size}`], name);
    // 1: right, 3: absent. Of what is inside too.
    t.notMatch(ip, /0|2/, name);
    t.equal(udp, isNatt(way.mode) ? (way.outer === 4 ? "3,1" : "1,1") : "1", name);
  });
});
