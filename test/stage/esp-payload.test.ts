// What IPSecDec finds behind the ICV: padding, next header and what is inside (RFC 4303 sections 2.4-2.7 and 3.4.4), sealed
// by others with whatever is wrong in it. Each failure under its name, of the SA and of the tunnel.

import t from "tap";
import { Fate } from "../../src/reason.js";
import { EspMode } from "../../src/table/sa.js";
import { dec, failuresOf, frames, saOf } from "./esp-rig.js";
import { ETHER, hex, IP4, IP6 } from "./tunnel-frames.js";
import { TunnelRig } from "./tunnel-rig.js";

const IN4 = "IP(src='10.0.0.1',dst='10.1.0.1',ttl=9)/UDP(sport=7,dport=9)/Raw(b'four')";
const IN6 = "IPv6(src='2001:db8::1',dst='2001:db8::2',hlim=9)/UDP(sport=7,dport=9)/Raw(b'six')";
const counting = (n: number) => `bytes(i & 255 for i in range(1, ${n + 1}))`;

interface Case {
  readonly name: string;
  /** Arguments of the oracle's esp(). */
  readonly esp: string;
  /** The packet that comes out. */
  readonly out?: string;
  readonly fate?: Fate;
  readonly failure?: string;
  readonly mode?: EspMode;
  /** Other than esp(). */
  readonly raw?: string;
  readonly outer?: string;
}

const bad = (name: string, esp: string, failure: string, fate: Fate, more: Partial<Case> = {}): Case => ({
  name,
  esp,
  failure,
  fate,
  ...more,
});
const payload = (name: string, esp: string) => bad(`RFC 4303 3.4.4: ${name}`, esp, "payload", Fate.espPayload);
const padding = (name: string, esp: string) => bad(name, esp, "padding", Fate.espPadding);
const malformed = (name: string, raw: string) => bad(name, "", "malformed", Fate.espMalformed, { raw });
const TRANSPORT = { mode: EspMode.transport };

const CASES: readonly Case[] = [
  { name: "RFC 4303 2.7: TFC padding behind IPv4 goes", esp: `bytes(${IN4})+b'z'*100`, out: IN4 },
  { name: "RFC 4303 2.7: TFC padding behind IPv6 goes", esp: `bytes(${IN6})+b'z'*101,nh=41`, out: IN6 },
  { name: "RFC 4303 2.5: 255 bytes of padding", esp: `bytes(${IN4})+b'z'*3,pad=${counting(255)}`, out: IN4 },
  { name: "RFC 4303 2.4: more padding than is needed", esp: `${IN4},pad=${counting(14)}`, out: IN4 },
  { name: "RFC 4303 2.6: a dummy is consumed", esp: "b'whatever',nh=59", failure: "dummy", fate: Fate.espDummy },
  { name: "RFC 4303 2.6: an empty dummy is consumed", esp: "b'',nh=59", failure: "dummy", fate: Fate.espDummy },
  { name: "RFC 4303 2.6: a dummy in transport mode", esp: "b'xyz',nh=59", failure: "dummy", fate: Fate.espDummy, ...TRANSPORT },
  padding("RFC 4303 2.4: padding of zeros", `${IN4},pad=bytes(2)`),
  padding("RFC 4303 2.4: padding that begins with 0", `${IN4},pad=bytes([0, 1])`),
  padding("RFC 4303 2.4: padding whose last byte is wrong", `${IN4},pad=bytes([1, 2, 3, 4, 5, 7])`),
  padding("RFC 4303 2.4: padding whose first byte is wrong", `${IN4},pad=bytes([7, 2, 3, 4, 5, 6])`),
  padding("RFC 4303 2.5: a pad length beyond the payload", `${IN4},padlen=255`),
  padding("RFC 4303 2.5: a pad length of one byte beyond the payload", `${counting(34)},pad=b'',padlen=35`),
  padding("RFC 4303 2.4: the padding of a dummy is looked at too", "b'1234',nh=59,pad=b'ab'"),
  payload("nothing but padding", `b'',pad=${counting(34)}`),
  ...[0, 1, 6, 17, 50, 43, 255].map((nh) => payload(`next header ${nh} in tunnel mode`, `${IN4},nh=${nh}`)),
  payload("next header 4, version 6", `${IN6},nh=4`),
  payload("next header 41, version 4", `${IN4},nh=41`),
  payload("next header 4, version 5", "IP(version=5,len=20),nh=4"),
  payload("next header 41, version 0", "IPv6(version=0,plen=0),nh=41"),
  payload("an inner IPv4 length beyond the payload", "IP(len=33)/Raw(b'x'*12),nh=4"),
  payload("an inner IPv6 length beyond the payload", "IPv6(plen=13)/Raw(b'x'*12),nh=41"),
  payload("an inner IPv4 length within its header", "IP(len=19)/Raw(b'x'*12),nh=4"),
  payload("an inner IPv4 header of four words", "IP(ihl=4,len=32)/Raw(b'x'*12),nh=4"),
  payload("an inner IPv4 header longer than the packet", "IP(ihl=15,len=32)/Raw(b'x'*40),nh=4"),
  payload("less than an IPv4 header", "bytes(IP(len=20))[:18],nh=4"),
  payload("less than an IPv6 header", "bytes(IPv6(plen=0))[:38],nh=41"),
  malformed("RFC 4303 2.4: a ciphertext that is no multiple of 4", `esp(${IN4},pad=b'')`.replace("four", "fours")),
  malformed("RFC 4303 2: no ciphertext", `ESP(spi=${0x100},seq=1,data=b'x'*24)`),
  malformed("RFC 4303 2: less than IV and ICV", `ESP(spi=${0x100},seq=1,data=b'x'*23)`),
  malformed("RFC 4303 2: nothing behind the ESP header", `ESP(spi=${0x100},seq=1,data=b'')`),
  bad("RFC 4303 3.3.3: sequence number 0", `${IN4},seq=0`, "too-old", Fate.espTooOld),
  bad("RFC 791: a wrong checksum of the outer header", IN4, "", Fate.outerChecksum, {
    outer: IP4.replace(")", ",chksum=0x1234)"),
  }),
  ...[1, 2, 4, 6, 17, 47, 89, 132, 253].map((nh) => ({
    name: `RFC 4303 2.6: next header ${nh} in transport mode`,
    esp: `b'payload-${nh}',nh=${nh}`,
    out: IP4.replace(")", `,proto=${nh})/Raw(b'payload-${nh}')`),
    ...TRANSPORT,
  })),
  ...[6, 17, 58].map((nh) => ({
    name: `RFC 4303 2.6: next header ${nh} in transport mode over IPv6`,
    esp: `b'payload-${nh}',nh=${nh}`,
    outer: IP6,
    out: IP6.replace(")", `,nh=${nh})/Raw(b'payload-${nh}')`),
    ...TRANSPORT,
  })),
  {
    name: "RFC 4303 3.1.1: nothing inside, in transport mode",
    esp: "b'',nh=17",
    out: IP4.replace(")", ",proto=17)"),
    ...TRANSPORT,
  },
];

const made = frames(
  Object.fromEntries(
    CASES.flatMap(({ esp, out, raw, outer = IP4 }, i) => [
      [`${i}`, `${ETHER}/${outer}/${raw ?? `esp(${esp})`}`],
      ...(out === undefined ? [] : [[`${i} out`, `${ETHER}/${out}`]]),
    ]),
  ),
);

CASES.forEach(({ name, out, mode = EspMode.tunnel, fate, failure }, i) => {
  t.test(name, { skip: made.skip }, async (t) => {
    const rig = new TunnelRig();
    rig.add(1, {}, dec(mode));
    const frame = made.frames.get(`${i}`) as Uint8Array;
    const result = rig.receive({ frame, port: 0 })[0];
    const counters = rig.table.get(1n)?.counters;
    if (out !== undefined) {
      t.same([result?.fate, hex(result?.frame)], [Fate.tunneled, hex(made.frames.get(`${i} out`))]);
      t.match(counters, { inPackets: 1, inBytes: frame.length, outPackets: 1, outBytes: result?.frame.length, inDrops: 0 });
      t.match([saOf(rig, 1).packets, failuresOf(rig, 1)], [1, {}]);
      return;
    }
    t.equal(result?.fate, fate);
    t.same(failuresOf(rig, 1), failure === "" ? {} : { [failure as string]: 1 });
    const inDrops = failure === "dummy" ? 0 : 1;
    t.match(counters, { inPackets: 1, outPackets: 0, outBytes: 0, inDrops, inDropBytes: inDrops * frame.length });
    t.equal(saOf(rig, 1).packets, 0);
  });
});
