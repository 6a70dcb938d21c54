import type { Tunnel } from "../../src/table/rule.js";
import { type Opened, opened, part, suiteOf, whole } from "./esp-receiver.js";
import type { Sent } from "./pipeline-rig.js";
import { scapy } from "./scapy.js";
import { ip4, ip6 } from "./tunnel-rig.js";

export const MTU = 1500;
export const SPI = 0x11223344;
export const SUITES = Array.from({ length: 12 }, (_, suite) => suite);
export const MODES = [0, 1, 2, 3] as const;
/** AES-128-GCM with an ICV of 16 bytes. */
export const GCM16 = 8;
export const TUNNEL_MODE = 1;
export const IN_UDP = 2;

export type Version = 4 | 6;
export type Inner = "df" | "clear" | "v6";
export const KINDS = ["df", "clear", "v6"] as const;
export const OUTER = {
  4: { source: ip4("192.0.2.1"), destination: ip4("192.0.2.2") },
  6: { source: ip6("2001:db8:f::1"), destination: ip6("2001:db8:f::2") },
};
export const ANY = { ingress: { port: 0, vlan: "any" as const } };

export interface Form {
  readonly suite: number;
  readonly mode: (typeof MODES)[number];
  readonly outer: Version;
  readonly kind: Inner;
}
export const versionOf = (kind: Inner): Version => (kind === "v6" ? 6 : 4);
export const ipHeader = (version: Version) => (version === 4 ? 20 : 40);

/** Bytes of the IP packet that leaves (RFC 4303 sections 2, 2.4; RFC 4106 section 3; RFC 3948 section 2.1). */
export function total({ suite, mode, outer, kind }: Form, length: number): number {
  const outside = mode & TUNNEL_MODE ? 0 : ipHeader(versionOf(kind));
  const front = mode & TUNNEL_MODE ? ipHeader(outer) : outside;
  const udp = mode & IN_UDP ? 8 : 0;
  const [spi, sequence, iv, padLength, nextHeader] = [4, 4, 8, 1, 1];
  const encrypted = Math.ceil((length - outside + padLength + nextHeader) / 4) * 4;
  return front + udp + spi + sequence + iv + encrypted + suiteOf(suite).icv;
}

export function largest(form: Form, mtu: number): number {
  let length = mtu;
  while (total(form, length) > mtu) length--;
  return length;
}

export const enc = ({ suite, mode, outer }: Omit<Form, "kind">): Tunnel => {
  const { key, salt } = suiteOf(suite);
  return {
    kind: "ipsec-enc",
    mode,
    suite,
    outer: mode & TUNNEL_MODE ? OUTER[outer] : undefined,
    sa: { spi: SPI, key: key.slice(), salt: salt.slice() },
  };
};
export const dec = ({ suite, mode }: Omit<Form, "kind" | "outer">): Tunnel => {
  const { key, salt } = suiteOf(suite);
  return { kind: "ipsec-dec", mode, suite, sas: [{ spi: SPI, key: key.slice(), salt: salt.slice() }] };
};
export const geneve = (outer: Version, words = 0): Tunnel => ({
  kind: "geneve-encap",
  outer: OUTER[outer],
  vni: 7,
  protocol: 0x6558,
  innerMac: {},
  control: false,
  options:
    words === 0
      ? []
      : [
          { class: 0x102, type: 1, data: new Uint8Array(124) },
          { class: 0x102, type: 1, data: new Uint8Array(120) },
        ],
});
/** Ethernet inside, IP, UDP, Geneve. */
export const GENEVE = { 4: 14 + 20 + 8 + 8, 6: 14 + 40 + 8 + 8 };
export const OPTIONS = 252;

export const FORMS: readonly Form[] = SUITES.flatMap((suite) =>
  MODES.flatMap((mode) =>
    KINDS.flatMap((kind): Form[] =>
      mode & TUNNEL_MODE
        ? [
            { suite, mode, kind, outer: 4 },
            { suite, mode, kind, outer: 6 },
          ]
        : [{ suite, mode, kind, outer: versionOf(kind) }],
    ),
  ),
);
/** Bytes more than the largest that passes. */
export const DELTAS = [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5];

export const ETHER = "Ether(src='02:00:00:00:00:01', dst='02:00:00:00:00:02')";
export const raw = (length: number) => `Raw((bytes(range(1,252))*50)[:${length}])`;
export const inner = (kind: Inner, length: number, more = "") =>
  kind === "v6"
    ? `IPv6(src='2001:db8::1',dst='2001:db8::2'${more})/UDP(sport=1,dport=9)/${raw(length - 48)}`
    : `IP(src='10.0.0.1',dst='10.1.0.1',id=5${kind === "df" ? ",flags='DF'" : ""}${more})/UDP(sport=1,dport=9)/${raw(length - 28)}`;
export const sizes = new Set(FORMS.flatMap((form) => DELTAS.map((delta) => largest(form, MTU) + delta)));
for (const size of [68, 69, 70, 71, 600, 1200, 1280, 1281, 1290]) sizes.add(size);
for (let size = 1370; size <= 1412; size++) sizes.add(size);

export const seal = (mode: "transport" | "tunnel", packet: string, sequence: number) =>
  `(lambda sa: ${ETHER}/sa.encrypt(${packet}, seq_num=${sequence}, iv=b'\\x07'*8))(SecurityAssociation(ESP,spi=${SPI},` +
  `crypt_algo='AES-GCM',crypt_key=bytes.fromhex('${Buffer.from(suiteOf(GCM16).key).toString("hex")}cafebabe'),auth_algo=None` +
  `${mode === "tunnel" ? ",tunnel_header=IP(src='198.51.100.1',dst='198.51.100.2',flags='DF')" : ""}))`;
export const RECEIVED = Array.from({ length: 12 }, (_, i) => 1440 + i);
export const made = scapy({
  ...Object.fromEntries(KINDS.flatMap((kind) => [...sizes].map((size) => [`${kind} ${size}`, `${ETHER}/${inner(kind, size)}`]))),
  tagged: `${ETHER}/Dot1Q(vlan=100)/${inner("df", 1447)}`,
  twice: `${ETHER}/Dot1Q(vlan=100)/Dot1Q(vlan=7)/${inner("df", 1447)}`,
  trailer: `${ETHER}/${inner("df", 1446)}/Padding(b'p'*20)`,
  // Security (copied) and Record Route (not copied), 12 and 8 bytes: RFC 791 section 3.1.
  options: `${ETHER}/IP(src='10.0.0.1',dst='10.1.0.1',id=5,options=[IPOption(b'\\x82\\x0b'+b'S'*9),IPOption(b'\\x01'),IPOption(b'\\x07\\x07\\x04\\0\\0\\0\\0'),IPOption(b'\\0')])/UDP(sport=1,dport=9)/${raw(1440)}`,
  extensions: `${ETHER}/IPv6(src='2001:db8::1',dst='2001:db8::2')/IPv6ExtHdrHopByHop()/IPv6ExtHdrDestOpt()/UDP(sport=1,dport=9)/${raw(1200)}`,
  ...Object.fromEntries(
    RECEIVED.flatMap((size, i) => [
      [`received ${size}`, seal("tunnel", inner("df", size), i + 1)],
      [`received transport ${size}`, seal("transport", inner("df", size), i + 1)],
    ]),
  ),
  "received small": seal("tunnel", inner("df", 100), 100),
});
export const frame = (name: string) => Buffer.from(made.frames.get(name) as Uint8Array);

/** The packets (from IP on) of frames without tags. */
export const packets = (sent: readonly Sent[]) => sent.map(({ frame }) => Buffer.from(frame).subarray(14));

export interface Told {
  readonly version: Version;
  readonly mtu: number;
  readonly from: string;
  readonly to: string;
  readonly quote: Buffer;
}

/** RFC 792 "fragmentation needed", RFC 4443 section 3.2. */
export function told({ frame }: Sent, tags = 0): Told {
  const packet = Buffer.from(frame).subarray(14 + tags);
  const hex = (from: number, length: number) => packet.subarray(from, from + length).toString("hex");
  if ((packet[0] as number) >> 4 === 4) {
    if (packet[9] !== 1 || packet[20] !== 3 || packet[21] !== 4) throw new Error("not fragmentation needed");
    return { version: 4, mtu: packet.readUInt16BE(26), from: hex(12, 4), to: hex(16, 4), quote: packet.subarray(28) };
  }
  if (packet[6] !== 58 || packet[40] !== 2) throw new Error("not packet too big");
  return { version: 6, mtu: packet.readUInt32BE(44), from: hex(8, 16), to: hex(24, 16), quote: packet.subarray(48) };
}

/** Whether that many bytes at least are quoted, and are the packet's first ones. */
export const quotes = (quote: Buffer, packet: Buffer, least = 48) =>
  quote.length >= least && packet.subarray(0, quote.length).equals(quote);

/** Opens a packet that came whole or in fragments. */
export function open(parts: readonly Buffer[], { mode, suite }: Pick<Form, "mode" | "suite">): Opened {
  const all = parts.map((packet) => part(packet));
  const payload = whole(all);
  return opened(payload, mode & IN_UDP ? 8 : 0, suiteOf(suite));
}
