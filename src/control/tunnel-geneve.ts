// Geneve, to a rule's tunnel and back (api.md 11, datapath.md "The tunnels").
//
// Leniency that clients need: option_length is advisory; inner MACs of an encapsulation that carries IP are ignored.

import type { Tunnel } from "../table/rule.js";
import { EtherType } from "../wire/ethernet.js";
import { Geneve as GeneveHeader, GeneveOptionField } from "../wire/geneve.js";
import type { Geneve, GeneveEncap, GeneveOption } from "./gen/tunneloffload.js";
import { fromMac, fromOuter, toMac, toOuter } from "./tunnel-address.js";
import { invalidGeneveField, invalidOption, notSupported, tooManyOptions } from "./tunnel-fault.js";
import { type MatchNames, VNI_MAX } from "./tunnel-match.js";

/** Options of the least length, 4 bytes, that fit behind a Geneve header. */
export const MAX_OPTIONS = 63;
const MAX_WORDS = 63;
const WORD = 4;
const MAX_DATA = 124;

export function toGeneve({ encapDecap }: Geneve, vxlan: boolean, names: MatchNames): Tunnel {
  if (encapDecap === undefined) throw notSupported("geneve is empty: give geneve_encap or geneve_decap");
  if (encapDecap.$case === "geneveDecap") return { kind: vxlan ? "vxlan-decap" : "geneve-decap" };
  return toGeneveEncap(encapDecap.value, names);
}

function toGeneveEncap(encap: GeneveEncap, names: MatchNames): Tunnel {
  const { vni, protocolType } = encap;
  if (vni > VNI_MAX) throw invalidGeneveField(`geneve_encap.vni ${vni} is past ${VNI_MAX}: it has 24 bits`);
  const protocol = protocolType === 0 ? GeneveHeader.ethernet : protocolType;
  if (protocol !== GeneveHeader.ethernet && protocol !== EtherType.ipv4 && protocol !== EtherType.ipv6) {
    const found = `0x${protocol.toString(16)}`;
    throw invalidGeneveField(
      `geneve_encap.protocol_type ${found}: give 0x6558 (Ethernet, also 0), 0x0800 (IPv4) or 0x86dd (IPv6)`,
    );
  }
  if (encap.optionLength > MAX_WORDS) {
    throw invalidGeneveField(
      `geneve_encap.option_length ${encap.optionLength} is past ${MAX_WORDS} words; 0 lets the device count`,
    );
  }
  const options = encap.geneveOption.map(toOption);
  const words = options.reduce((sum, { data }) => sum + (GeneveOptionField.length + data.length) / WORD, 0);
  if (words > MAX_WORDS) {
    throw tooManyOptions(
      `geneve_encap.geneve_option has ${words} words of 4 bytes in all: give at most ${MAX_WORDS}, headers included`,
    );
  }
  if (encap.criticalOptionPresent && !options.some(({ type }) => (type & GeneveOptionField.critical) !== 0)) {
    throw invalidGeneveField(
      "geneve_encap.critical_option_present is set, and no option has the critical bit (0x80) in its type: set that, or leave this away",
    );
  }
  const outer = toOuter(encap.ip, names.ipv4Order, "geneve_encap", invalidGeneveField);
  const mac = toMac(encap.innerMacPair, "geneve_encap.inner_mac_pair", invalidGeneveField);
  const innerMac = protocol === GeneveHeader.ethernet ? (mac ?? {}) : {};
  return { kind: "geneve-encap", outer, vni, protocol, innerMac, control: encap.controlPacket, options };
}

export function fromGeneveEncap(tunnel: Extract<Tunnel, { kind: "geneve-encap" }>, names: MatchNames): GeneveEncap {
  const { outer, vni, protocol, innerMac, control, options } = tunnel;
  return {
    ip: fromOuter(outer, names.ipv4Order),
    innerMacPair: fromMac(innerMac),
    optionLength: options.reduce((sum, { data }) => sum + (GeneveOptionField.length + data.length) / WORD, 0),
    controlPacket: control,
    criticalOptionPresent: options.some(({ type }) => (type & GeneveOptionField.critical) !== 0),
    vni,
    protocolType: protocol,
    geneveOption: options.map(({ class: optionClass, type, data }) => ({
      optionClass,
      type,
      length: data.length / WORD,
      data: Buffer.from(data),
    })),
  };
}

function toOption({ optionClass, type, length, data }: GeneveOption, i: number) {
  const at = `geneve_encap.geneve_option[${i}]`;
  if (optionClass > 0xffff) throw invalidOption(`${at}.option_class ${optionClass} is past 65535: it has 16 bits`);
  if (type > 0xff) throw invalidOption(`${at}.type ${type} is past 255: it has 8 bits`);
  if (data.length > MAX_DATA || data.length % WORD !== 0) {
    throw invalidOption(`${at}.data has ${data.length} bytes: give 0 to ${MAX_DATA}, in multiples of ${WORD}`);
  }
  if (length * WORD !== data.length) {
    throw invalidOption(`${at}.length ${length} is not that of its data: give ${data.length / WORD} for ${data.length} bytes`);
  }
  return { class: optionClass, type, data: Uint8Array.from(data) };
}
