// What a rule looks at, as words to gather from a packet (cold): its shape, and the values of its own.

import { prefixMask } from "../wire/bytes.js";
import { Esp } from "../wire/esp.js";
import { Ethernet, EtherType } from "../wire/ethernet.js";
import { Geneve } from "../wire/geneve.js";
import { Ipv4 } from "../wire/ipv4.js";
import { Ipv6 } from "../wire/ipv6.js";
import { Vxlan } from "../wire/vxlan.js";
import { type HeaderMatch, type IpMatch, type MacMatch, type NewRule, type Prefix, sasOf } from "./rule.js";
import { Base, Class, Header, Meta, Procedure } from "./rule-memory.js";
import { EspModeBit, type SaRef } from "./sa.js";

export interface RuleKey {
  /** Base << 16 | byte offset, in ascending order. */
  readonly words: readonly number[];
  readonly masks: readonly number[];
  readonly values: readonly number[];
  /** Bit map of Class. */
  readonly classes: readonly number[];
  /** The higher one wins. */
  readonly rank: number;
}

/** Rank: tunnel_id present, then how many fields, then how long their prefixes are. */
const RANK_TUNNEL = 1 << 20;
const RANK_FIELD = 1 << 12;

/** One of the records by which a rule is found. */
export interface RuleEntry {
  readonly key: RuleKey;
  readonly procedure: Procedure;
  /** Slot of the SA, or -1. */
  readonly sa: number;
}

const PROCEDURES: Record<NewRule["tunnel"]["kind"], Procedure> = {
  "geneve-encap": Procedure.geneveEncap,
  "geneve-decap": Procedure.geneveDecap,
  "vxlan-encap": Procedure.vxlanEncap,
  "vxlan-decap": Procedure.vxlanDecap,
  "ipsec-enc": Procedure.ipsecEnc,
  "ipsec-dec": Procedure.ipsecDec,
};

/**
 * A rule is one record; one that decrypts has a record for each of its SAs, by SPI, and one for keepalives where it takes ESP out of UDP.
 * @param rule with SAs that are in the table
 * @param tunnelOf what Meta.tunnel holds after the tunnel with this id
 */
export function ruleEntries(rule: NewRule, tunnelOf: (id: bigint) => number): RuleEntry[] {
  const { tunnel, match } = rule;
  const procedure = PROCEDURES[tunnel.kind];
  const sas = sasOf(tunnel) as readonly SaRef[];
  if (tunnel.kind !== "ipsec-dec") return [{ key: ruleKey(rule, match.header, tunnelOf), procedure, sa: sas[0]?.slot ?? -1 }];
  const header = match.header?.kind === "esp" ? match.header : undefined;
  const wanted = header?.spi ?? 0;
  const of = (spi: number) => ruleKey(rule, header, tunnelOf, spi);
  const entries = sas.flatMap(({ spi, slot }) => (wanted === 0 || wanted === spi ? [{ key: of(spi), procedure, sa: slot }] : []));
  // It names an SPI that it has no SA for.
  if (wanted !== 0 && entries.length === 0) entries.push({ key: of(wanted), procedure, sa: -1 });
  if ((tunnel.mode & EspModeBit.natt) !== 0) {
    const key = ruleKey(rule, undefined, tunnelOf, KEEPALIVE);
    entries.push({ key, procedure: Procedure.keepalive, sa: -1 });
  }
  return entries;
}

/** In place of an SPI. */
const KEEPALIVE = -1;

/** @param spi that is looked for besides; 0: none; or KEEPALIVE */
function ruleKey(rule: NewRule, header: HeaderMatch | undefined, tunnelOf: (id: bigint) => number, spi = 0): RuleKey {
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
  // ESP alone has no port.
  const listens = portOf(rule) ?? (rule.tunnel.kind === "ipsec-dec" ? 0 : announcedBy(header));
  if (listens !== undefined) bits.put(Base.meta, Meta.port * 4, numberBytes(listens, 2), [0xff, 0xff]);
  const fieldsBefore = bits.rank;
  const satisfied = rule.tunnel.kind === "ipsec-enc" && tunnelId !== undefined && header?.kind === "esp";
  headerBits(bits, header, !satisfied);
  if (spi > 0) bits.put(Base.header, Esp.spi, networkBytes(spi, 4), [0xff, 0xff, 0xff, 0xff]);
  const kind = satisfied ? undefined : (header?.kind ?? (spi === KEEPALIVE ? "keepalive" : impliedBy(rule)));
  return { ...bits.words(), classes: classesOf(rule, header, kind, bits.rank === fieldsBefore), rank: bits.rank };
}

/** UDP port that a decapsulating rule listens to. */
export function portOf({ tunnel, settings }: NewRule): number | undefined {
  switch (tunnel.kind) {
    case "geneve-decap":
      return settings.udpPort || Geneve.port;
    case "vxlan-decap":
      return settings.udpPort || Vxlan.port;
    case "ipsec-dec":
      return (tunnel.mode & EspModeBit.natt) === 0 ? undefined : settings.udpPort || Esp.port;
    default:
      return undefined;
  }
}

/** The header that a decapsulation opens. */
function impliedBy({ tunnel: { kind } }: NewRule): HeaderMatch["kind"] | undefined {
  return kind === "geneve-decap" ? "geneve" : kind === "vxlan-decap" ? "vxlan" : kind === "ipsec-dec" ? "esp" : undefined;
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

/** @param looked false: its fields count for the rank only (ESP) */
function headerBits(bits: Bits, header: HeaderMatch | undefined, looked: boolean): void {
  if (header === undefined) return;
  if (header.kind === "esp") {
    if (header.spi !== 0) bits.field(Base.header, Esp.spi, networkBytes(header.spi, 4), looked);
    if (header.sn !== 0) bits.field(Base.header, Esp.sequence, networkBytes(header.sn, 4), looked);
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

const HEADERS = {
  esp: Header.esp,
  geneve: Header.geneve,
  vxlan: Header.vxlan,
  keepalive: Header.keepalive,
};

/** @param kind of header that must be there. `bare`: nothing inside it is looked at. */
function classesOf(rule: NewRule, header: HeaderMatch | undefined, kind: keyof typeof HEADERS | undefined, bare: boolean) {
  const { match, tunnel } = rule;
  const tunnels = match.tunnelId === undefined ? [0, 1] : [1];
  const implied = impliedBy(rule);
  let headers = [Header.none, Header.esp, Header.geneve, Header.vxlan, Header.cut, Header.keepalive];
  if (kind !== undefined) {
    headers = [HEADERS[kind]];
    // Its own bad length drops under its rule.
    if (bare && (implied === "geneve" || implied === "vxlan")) headers.push(Header.cut);
    // Looks for what its tunnel cannot open.
    if (implied !== undefined && kind !== implied && kind !== "keepalive") headers = [];
  }
  let versions = kind === undefined ? [0, 1, 2] : [1, 2];
  if (tunnel.kind === "ipsec-enc") versions = [1, 2];
  if (match.ip !== undefined) versions = [match.ip.ipv6 ? 2 : 1];
  if (tunnel.kind === "geneve-encap" && tunnel.protocol !== Geneve.ethernet) {
    const carried = tunnel.protocol === EtherType.ipv4 ? 1 : 2;
    versions = versions.filter((version) => version === carried);
  }
  let inner = [0, 1, 2, 3];
  if (header !== undefined && header.kind !== "esp") {
    if (header.ip !== undefined) inner = [header.ip.ipv6 ? 2 : 1];
    else if (header.mac !== undefined) inner = [0, 1, 2];
    // MACs of what is no Ethernet frame: no packet has them.
    if (header.kind === "geneve" && header.mac !== undefined && header.protocol !== 0 && header.protocol !== Geneve.ethernet)
      inner = [];
  }
  const map = new Array<number>(Class.words).fill(0);
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
  field(base: Base, offset: number, value: ArrayLike<number>, looked = true): void {
    if (looked) this.put(base, offset, value, new Array<number>(value.length).fill(0xff));
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
