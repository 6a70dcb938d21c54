// The datagrams that are being put together, by their key, by their age, and counted by their source. One per worker, made once.
//
// The key is where it came in, both addresses, the identification, and of IPv4 the protocol (RFC 791 section 3.2, RFC 8200
// section 4.5).

import { finish, type HashKey, mix } from "../table/flow.js";
import { Base } from "../table/rule-memory.js";
import { be16, be32 } from "../wire/bytes.js";
import { Ipv4 } from "../wire/ipv4.js";
import { Ipv6, Ipv6Fragment } from "../wire/ipv6.js";
import type { Headers } from "./headers.js";

const SOURCES = 1024;
/** Words of a key: ingress, version and protocol, identification, two addresses. */
const KEY = 11;

export class Datagrams {
  /** When it came. */
  readonly born: Float64Array;
  /** Neighbours by age, or -1. */
  readonly older: Int32Array;
  readonly younger: Int32Array;
  oldest = -1;
  /** Of the key at hand: set by `find`. */
  #hash = 0;
  readonly #key = new Int32Array(KEY);
  // By datagram
  readonly #keys: Int32Array;
  readonly #hashes: Int32Array;
  /** Bucket of its source, or -1: it is not counted. */
  readonly #source: Int32Array;
  /** Next of its hash chain, or of the free ones. */
  readonly #next: Int32Array;
  readonly #heads: Int32Array;
  readonly #perSource = new Int32Array(SOURCES);
  #freeHead = 0;
  #youngest = -1;

  constructor(
    readonly size: number,
    readonly hashKey: HashKey,
  ) {
    let heads = 16;
    while (heads < size * 2) heads *= 2;
    this.#keys = new Int32Array(size * KEY);
    this.#hashes = new Int32Array(size);
    this.born = new Float64Array(size);
    this.#source = new Int32Array(size);
    this.#next = Int32Array.from({ length: size }, (_, d) => (d + 1 < size ? d + 1 : -1));
    this.older = new Int32Array(size);
    this.younger = new Int32Array(size);
    this.#heads = new Int32Array(heads).fill(-1);
  }

  get full(): boolean {
    return this.#freeHead < 0;
  }

  /** The datagram that this fragment belongs to, or -1. Its key is the one at hand then. */
  find(bytes: Uint8Array, headers: Headers, ingress: number): number {
    this.#readKey(bytes, headers, ingress);
    const hash = this.#hash;
    for (let d = this.#heads[hash & (this.#heads.length - 1)]; d >= 0; d = this.#next[d]) {
      if (this.#hashes[d] !== hash) continue;
      let w = 0;
      while (w < KEY && this.#keys[d * KEY + w] === this.#key[w]) w++;
      if (w === KEY) return d;
    }
    return -1;
  }

  /** Datagrams that are counted for the source of the key at hand. */
  get ofSource(): number {
    return this.#perSource[this.#sourceOf()];
  }

  /** A datagram with the key at hand; there must be room. @param counted for its source */
  add(now: number, counted: boolean): number {
    const d = this.#freeHead;
    this.#freeHead = this.#next[d];
    const head = this.#hash & (this.#heads.length - 1);
    this.#next[d] = this.#heads[head];
    this.#heads[head] = d;
    this.#hashes[d] = this.#hash;
    for (let w = 0; w < KEY; w++) this.#keys[d * KEY + w] = this.#key[w];
    this.born[d] = now;
    this.#source[d] = counted ? this.#sourceOf() : -1;
    if (counted) this.#perSource[this.#source[d]]++;
    this.older[d] = this.#youngest;
    this.younger[d] = -1;
    if (this.#youngest >= 0) this.younger[this.#youngest] = d;
    else this.oldest = d;
    this.#youngest = d;
    return d;
  }

  /** It does not count for its source any more. */
  discount(d: number): void {
    if (this.#source[d] >= 0) this.#perSource[this.#source[d]]--;
    this.#source[d] = -1;
  }

  remove(d: number): void {
    const head = this.#hashes[d] & (this.#heads.length - 1);
    if (this.#heads[head] === d) this.#heads[head] = this.#next[d];
    else {
      let before = this.#heads[head];
      while (this.#next[before] !== d) before = this.#next[before];
      this.#next[before] = this.#next[d];
    }
    const older = this.older[d];
    const younger = this.younger[d];
    if (older >= 0) this.younger[older] = younger;
    else this.oldest = younger;
    if (younger >= 0) this.older[younger] = older;
    else this.#youngest = older;
    this.discount(d);
    this.#next[d] = this.#freeHead;
    this.#freeHead = d;
  }

  #readKey(bytes: Uint8Array, { base, version, protocol }: Headers, ingress: number): void {
    const key = this.#key;
    const ip = base[Base.ip];
    key.fill(0);
    key[0] = ingress;
    // IPv6 tells datagrams apart without the protocol.
    key[1] = version === 4 ? 0x400 | protocol : 0x600;
    if (version === 4) {
      key[2] = be16(bytes, ip + Ipv4.identification);
      key[3] = be32(bytes, ip + Ipv4.source);
      key[7] = be32(bytes, ip + Ipv4.destination);
    } else {
      key[2] = be32(bytes, ip + Ipv6.length + Ipv6Fragment.identification);
      for (let w = 0; w < 8; w++) key[3 + w] = be32(bytes, ip + Ipv6.source + 4 * w);
    }
    const { start, k1, k2 } = this.hashKey;
    let h = start;
    for (let w = 0; w < KEY; w++) h = mix(h, key[w], k1, k2);
    this.#hash = finish(h);
  }

  #sourceOf(): number {
    const { start, k1, k2 } = this.hashKey;
    let h = start;
    for (let w = 3; w < 7; w++) h = mix(h, this.#key[w], k1, k2);
    return finish(h) & (SOURCES - 1);
  }
}
