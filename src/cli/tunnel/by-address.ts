// Tunnels that may follow an encapsulation because they match its outer header, though they name no tunnel: by its addresses,
// and by as much of its Geneve, VXLAN or ESP header as is known. Inner addresses and MACs are not.
//
// Looked up by the prefix lengths that occur, as the device does: the cost does not grow with the number of tunnels.

import type { Ipv4Order } from "../../control/translate.js";
import { Geneve } from "../../wire/geneve.js";
import { meets } from "./ingress.js";
import { encapOf, outerAddresses, outerOf, type Prefix, prefixes, procedureOf, spisOf } from "./phrase.js";
import type { ShownTunnel } from "./shown.js";

interface Shape {
  /** 4 or 6; 0: any packet. */
  readonly version: number;
  readonly source: number;
  readonly destination: number;
  /** By the addresses under these prefixes. */
  readonly tunnels: Map<string, ShownTunnel[]>;
}

const ANY: Prefix = { address: new Uint8Array(0), length: 0 };
const PROTOCOL: Readonly<Record<number, number>> = { 4: 0x0800, 6: 0x86dd };

export class ByAddress {
  /** By ingress_interface, then by the lengths of prefixes. */
  readonly #shapes = new Map<string, Map<string, Shape>>();
  /** What was asked for, by ingress_interface. */
  readonly #met = new Map<string, readonly Shape[]>();

  constructor(private readonly order: Ipv4Order) {}

  /** All are added before the first is looked up. @param tunnel one that names no tunnel before it */
  add(tunnel: ShownTunnel): void {
    const match = tunnel.request.matchCriteria;
    if (match === undefined) return;
    const field = match.ipMatch;
    const [source, destination] = field === undefined ? [ANY, ANY] : prefixes(field, this.order);
    const version = field === undefined ? 0 : field.$case === "ipv4Match" ? 4 : 6;
    const shapes = this.#shapes.get(match.ingressInterface) ?? new Map<string, Shape>();
    this.#shapes.set(match.ingressInterface, shapes);
    const name = `${version}/${source.length}/${destination.length}`;
    const shape = shapes.get(name) ?? { version, source: source.length, destination: destination.length, tunnels: new Map() };
    shapes.set(name, shape);
    const key = keyOf(shape, source.address, destination.address);
    const same = shape.tunnels.get(key) ?? [];
    shape.tunnels.set(key, same);
    same.push(tunnel);
  }

  /** Of an encapsulation. In no order. */
  after(tunnel: ShownTunnel): ShownTunnel[] {
    const outer = outerOf(tunnel.request);
    if (outer === undefined) return [];
    const [source, destination] = outerAddresses(outer, this.order);
    const version = source.length === 4 ? 4 : 6;
    const found: ShownTunnel[] = [];
    for (const shape of this.#of(tunnel.request.matchCriteria?.ingressInterface ?? "")) {
      if (shape.version !== 0 && shape.version !== version) continue;
      for (const follower of shape.tunnels.get(keyOf(shape, source, destination)) ?? []) {
        if (takes(follower, tunnel, version)) found.push(follower);
      }
    }
    return found;
  }

  /** Of the tunnels that see frames of this ingress_interface. */
  #of(ingress: string): readonly Shape[] {
    const known = this.#met.get(ingress);
    if (known !== undefined) return known;
    const met = [...this.#shapes].filter(([name]) => meets(name, ingress)).flatMap(([, shapes]) => [...shapes.values()]);
    this.#met.set(ingress, met);
    return met;
  }
}

/** Whether it takes what the encapsulation makes, as far as its header tells. */
function takes(follower: ShownTunnel, encapsulation: ShownTunnel, version: number): boolean {
  const { request } = follower;
  const header = request.matchCriteria?.match;
  const kind = procedureOf(encapsulation.request).split(" ")[0];
  const [takesKind, direction] = procedureOf(request).split(" ");
  if ((direction === "decap" || direction === "decrypt") && takesKind !== kind) return false;
  const spis = spisOf(encapsulation.request);
  if (direction === "decrypt" && !spisOf(request).some((spi) => spis.includes(spi))) return false;
  const carried = encapOf(request);
  if (carried !== undefined && "protocolType" in carried) {
    if (carried.protocolType !== Geneve.ethernet && carried.protocolType !== PROTOCOL[version]) return false;
  }
  if (header === undefined) return true;
  if (header.$case !== `${kind}Match`) return false;
  if (header.$case === "ipsecMatch") return header.value.spi === 0 || spis.includes(header.value.spi);
  const made = encapOf(encapsulation.request);
  if (header.value.vni !== 0 && header.value.vni !== made?.vni) return false;
  const protocol = made !== undefined && "protocolType" in made ? made.protocolType : Geneve.ethernet;
  const wanted = header.$case === "geneveMatch" ? header.value.protocolType : 0;
  return (wanted === 0 || wanted === protocol) && (header.value.macMatch === undefined || protocol === Geneve.ethernet);
}

function keyOf(shape: Shape, source: Uint8Array, destination: Uint8Array): string {
  return shape.version === 0 ? "" : `${masked(source, shape.source)}-${masked(destination, shape.destination)}`;
}

function masked(address: Uint8Array, length: number): string {
  const whole = length >> 3;
  const rest = length & 7;
  const bytes = Array.from(address.subarray(0, whole));
  if (rest !== 0) bytes.push((address[whole] as number) & ~(0xff >>> rest) & 0xff);
  return bytes.join(".");
}
