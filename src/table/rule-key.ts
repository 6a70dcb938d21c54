// What a rule looks at, as words to gather from a packet (cold): its shape, and the values of its own.

import { prefixMask } from "../wire/bytes.js";
import { Esp } from "../wire/esp.js";
import { Ethernet, EtherType } from "../wire/ethernet.js";
import { Geneve } from "../wire/geneve.js";
import { Ipv4 } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";
import { Vxlan } from "../wire/vxlan.js";
import { type HeaderMatch, type IpMatch, isDecap, type MacMatch, type NewRule, type Prefix } from "./rule.js";
import { Base, Class, Header, Meta } from "./rule-memory.js";

export interface RuleKey {
  /** Base << 16 | byte offset, in ascending order. */
  readonly words: readonly number[];
  readonly masks: readonly number[];
  readonly values: readonly number[];
  /** Bit map of Class. */
  readonly classes: readonly [number, number, number, number];
  /** The higher one wins. */
  readonly rank: number;
}

/** Rank: tunnel_id present, then how many fields, then how long their prefixes are. */
const RANK_TUNNEL = 1 << 20;
const RANK_FIELD = 1 << 12;

/** @param tunnelOf what Meta.tunnel holds after the tunnel with this id */
export function ruleKey(rule: NewRule, tunnelOf: (id: bigint) => number): RuleKey {
  const { match } = rule;
  const bits = new Bits();
  const { ingress, tunnelId } = match;
  if (ingress === undefined) {
    bits.put(Base.meta, Meta.ingress * 4, numberBytes(0, 2), [0xff, 0xff]);
  } else if (ingress.vlan === "any") {
    bits.field(Base.meta, Meta.ingress * 4 + 2, numberBytes(ingress.port, 2));
  } else {
    bits.field(Base.meta, Meta.ingress * 4, [...numberBytes(ingress.vlan, 2), ...numberBytes(ingress.port, 2)]);
  }
  if (tunnelId !== undefined) {
    bits.rank += RANK_TUNNEL;
    bits.field(Base.meta, Meta.tunnel * 4, numberBytes(tunnelOf(tunnelId), 4));
  }
  macBits(bits, Base.ethernet, match.mac);
  ipBits(bits, Base.ip, match.ip);
  const listens = portOf(rule) ?? announcedBy(match.header);
  if (listens !== undefined) bits.put(Base.meta, Meta.port * 4, numberBytes(listens, 2), [0xff, 0xff]);
  const fieldsBefore = bits.rank;
  headerBits(bits, match.header);
  return { ...bits.words(), classes: classesOf(rule, bits.rank === fieldsBefore), rank: bits.rank };
}

/** UDP port that a decapsulating rule listens to. */
export function portOf({ tunnel, settings }: NewRule): number | undefined {
  if (tunnel.kind === "geneve-decap") return settings.udpPort || Geneve.port;
  return tunnel.kind === "vxlan-decap" ? settings.udpPort || Vxlan.port : undefined;
}

/** UDP port of what a rule looks for without decapsulating it: others may listen elsewhere, by their own settings. */
function announcedBy(header: HeaderMatch | undefined): number | undefined {
  return header?.kind === "geneve" ? Geneve.port : header?.kind === "vxlan" ? Vxlan.port : undefined;
}

function macBits(bits: Bits, base: Base, mac: MacMatch | undefined): void {
  if (mac?.destination !== undefined) bits.field(base, Ethernet.destination, mac.destination);
  if (mac?.source !== undefined) bits.field(base, Ethernet.source, mac.source);
}

function ipBits(bits: Bits, base: Base, ip: IpMatch | undefined): void {
  if (ip === undefined) return;
  if (ip.source !== undefined) bits.prefix(base, ip.ipv6 ? Ipv6.source : Ipv4.source, ip.source);
  if (ip.destination !== undefined) bits.prefix(base, ip.ipv6 ? Ipv6.destination : Ipv4.destination, ip.destination);
}

function headerBits(bits: Bits, header: HeaderMatch | undefined): void {
  if (header === undefined) return;
  if (header.kind === "esp") {
    if (header.spi !== 0) bits.field(Base.header, Esp.spi, networkBytes(header.spi, 4));
    if (header.sn !== 0) bits.field(Base.header, Esp.sequence, networkBytes(header.sn, 4));
    return;
  }
  if (header.kind === "geneve" && header.protocol !== 0) {
    bits.field(Base.header, Geneve.protocol, networkBytes(header.protocol, 2));
  } else if (header.kind === "geneve" && (header.mac?.destination !== undefined || header.mac?.source !== undefined)) {
    // Only Ethernet inside has MACs.
    bits.put(Base.header, Geneve.protocol, [0x65, 0x58], [0xff, 0xff]);
  }
  if (header.vni !== 0) bits.field(Base.header, Geneve.vni, networkBytes(header.vni, 3));
  macBits(bits, Base.innerEthernet, header.mac);
  ipBits(bits, Base.innerIp, header.ip);
}

/** `bare`: nothing inside the tunnel header is looked at. */
function classesOf(rule: NewRule, bare: boolean): [number, number, number, number] {
  const { match, tunnel } = rule;
  const tunnels = match.tunnelId === undefined ? [0, 1] : [1];
  const decap = isDecap(tunnel);
  let headers = [Header.none, Header.esp, Header.geneve, Header.vxlan, Header.cut];
  const implied = decap ? (tunnel.kind === "geneve-decap" ? "geneve" : "vxlan") : undefined;
  const kind = match.header?.kind ?? implied;
  if (kind !== undefined) {
    headers = [{ esp: Header.esp, geneve: Header.geneve, vxlan: Header.vxlan }[kind]];
    // Its own bad length drops under its rule.
    if (decap && bare) headers.push(Header.cut);
    // Looks for what its tunnel cannot open.
    if (decap && kind !== implied) headers = [];
  }
  let versions = kind === undefined ? [0, 1, 2] : [1, 2];
  if (match.ip !== undefined) versions = [match.ip.ipv6 ? 2 : 1];
  if (tunnel.kind === "geneve-encap" && tunnel.protocol !== Geneve.ethernet) {
    const carried = tunnel.protocol === EtherType.ipv4 ? 1 : 2;
    versions = versions.filter((version) => version === carried);
  }
  const header = match.header;
  let inner = [0, 1, 2, 3];
  if (header !== undefined && header.kind !== "esp") {
    if (header.ip !== undefined) inner = [header.ip.ipv6 ? 2 : 1];
    else if (header.mac !== undefined) inner = [0, 1, 2];
    // MACs of what is no Ethernet frame: no packet has them.
    if (header.kind === "geneve" && header.mac !== undefined && header.protocol !== 0 && header.protocol !== Geneve.ethernet)
      inner = [];
  }
  const map: [number, number, number, number] = [0, 0, 0, 0];
  for (const t of tunnels) {
    for (const v of versions) {
      for (const h of headers) {
        for (const i of inner) {
          const bit = t * Class.tunnel + v * Class.ip + h * Class.header + i * Class.inner;
          map[bit >> 5] = (map[bit >> 5] as number) | (1 << (bit & 31));
        }
      }
    }
  }
  return map;
}

/** Collects bytes and which of their bits count, by word. */
class Bits {
  rank = 0;
  readonly #words = new Map<number, { mask: number; value: number }>();

  /** A field that counts for the rank. */
  field(base: Base, offset: number, value: ArrayLike<number>): void {
    this.put(base, offset, value, new Array<number>(value.length).fill(0xff));
    this.rank += RANK_FIELD;
  }

  prefix(base: Base, offset: number, { address, length }: Prefix): void {
    const mask = Array.from(address, (_, i) => prefixMask(length, i));
    this.put(base, offset, address, mask);
    this.rank += RANK_FIELD + length;
  }

  put(base: Base, offset: number, value: ArrayLike<number>, mask: ArrayLike<number>): void {
    for (let i = 0; i < value.length; i++) {
      const at = (base << 16) | ((offset + i) & ~3);
      const word = this.#words.get(at) ?? { mask: 0, value: 0 };
      const shift = ((offset + i) & 3) * 8;
      const m = mask[i] as number;
      word.mask |= m << shift;
      word.value |= ((value[i] as number) & m) << shift;
      this.#words.set(at, word);
    }
  }

  words(): Pick<RuleKey, "words" | "masks" | "values"> {
    const used = [...this.#words].filter(([, { mask }]) => mask !== 0).sort(([a], [b]) => a - b);
    return {
      words: used.map(([at]) => at),
      masks: used.map(([, { mask }]) => mask),
      values: used.map(([, { value }]) => value),
    };
  }
}

/** As the machine's word has it. */
function numberBytes(value: number, length: number): number[] {
  return Array.from({ length }, (_, i) => (value >>> (8 * i)) & 0xff);
}

function networkBytes(value: number, length: number): number[] {
  return numberBytes(value, length).reverse();
}
