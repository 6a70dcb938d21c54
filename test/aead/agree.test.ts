// The providers against each other on 100,000 random packets: all suites, sizes 0 … 9000, AAD of 8 and 12 bytes, one packet of
// eight changed on its way. node:crypto is the reference.

import fc from "fast-check";
import t from "tap";
import { type Aead, icvLength, Job, keyLength, SuiteBits, saltLength } from "../../src/aead/aead.js";
import { openAead } from "../../src/aead/choose.js";
import { PROVIDERS, SUITES } from "./rig.js";

const BURST = 64;
const PACKETS = 100_000;
const SIZE_MAX = 9000;

/** Bytes of a packet's place: IV, AAD, and data with its ICV, each at any alignment. */
const enum At {
  iv = 1,
  aad = 10,
  data = 22,
  size = 9088,
}

interface Side {
  readonly aead: Aead;
  readonly frames: Uint8Array;
}

const sides: readonly Side[] = PROVIDERS.filter(({ skip }) => skip === false).map(({ name }) => {
  const frames = new Uint8Array(BURST * At.size);
  return { aead: openAead(name, frames), frames };
});
const reference = sides.find(({ aead }) => aead.name === "node") as Side;
const words = new Int32Array(reference.frames.buffer);

/** Marsaglia's xorshift over the reference's memory; the others get the same bytes. */
function fill(seed: number): void {
  let x = seed | 1;
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  for (const { frames } of sides) if (frames !== reference.frames) frames.set(reference.frames);
}

const packet = fc.record({
  suite: fc.nat(SuiteBits.count - 1),
  length: fc.oneof(fc.nat(SIZE_MAX), fc.nat(200)),
  shift: fc.nat(15),
  esn: fc.boolean(),
  change: fc.nat(),
});

type Packet = typeof packet extends fc.Arbitrary<infer P> ? P : never;

function jobsOf(packets: readonly Packet[]): Int32Array {
  const jobs = new Int32Array(BURST * Job.size);
  packets.forEach(({ suite, length, shift, esn }, i) => {
    const at = i * At.size + shift;
    jobs.set([suite, at + At.iv, at + At.aad, esn ? 12 : 8, at + At.data, length, -1], i * Job.size);
  });
  return jobs;
}

/** The byte of packet i that is changed on its way, or undefined. */
function changed({ suite, esn, length, shift, change }: Packet, i: number): number | undefined {
  if (change % 8 !== 0) return undefined;
  const at = i * At.size + shift;
  const places = 8 + (esn ? 12 : 8) + length + icvLength(suite);
  const place = (change >>> 3) % places;
  if (place < 8) return at + At.iv + place;
  if (place < (esn ? 20 : 16)) return at + At.aad + place - 8;
  return at + At.data + place - (esn ? 20 : 16);
}

function same(what: string): void {
  for (const { aead, frames } of sides) {
    if (Buffer.compare(frames, reference.frames) !== 0) throw new Error(`${aead.name} ${what} not as node:crypto does`);
  }
}

t.test(`${sides.map(({ aead }) => aead.name).join(", ")} agree on ${PACKETS} packets`, async (t) => {
  let seen = 0;
  let refused = 0;
  fc.assert(
    fc.property(fc.integer(), fc.array(packet, { minLength: BURST, maxLength: BURST }), (seed, packets) => {
      fill(seed);
      const before = reference.frames.slice();
      for (const { aead } of sides) {
        for (const suite of SUITES) {
          const key = before.subarray(suite * At.size, suite * At.size + keyLength(suite));
          aead.set(suite, suite, key, before.subarray(0, saltLength(suite)));
        }
        aead.seal(jobsOf(packets), BURST);
      }
      same("seals");
      const places = packets.map(changed);
      for (const { frames } of sides) for (const place of places) if (place !== undefined) frames[place] ^= 1 << (seed & 7);
      for (const { aead, frames } of sides) {
        const jobs = jobsOf(packets);
        aead.open(jobs, BURST);
        packets.forEach(({ length }, i) => {
          const data = jobs[i * Job.size + Job.data];
          const expected = places[i] === undefined ? before.subarray(data, data + length) : new Uint8Array(length);
          if (jobs[i * Job.size + Job.status] !== (places[i] === undefined ? 0 : 1))
            throw new Error(`${aead.name}: status of ${i}`);
          if (Buffer.compare(frames.subarray(data, data + length), expected) !== 0) throw new Error(`${aead.name}: data of ${i}`);
        });
      }
      same("opens");
      seen += BURST;
      refused += places.filter((place) => place !== undefined).length;
    }),
    { numRuns: Math.ceil(PACKETS / BURST), endOnFailure: true },
  );
  t.ok(seen >= PACKETS && refused > PACKETS / 20, `${seen} packets, ${refused} of them changed`);
  for (const { aead } of sides) aead.close();
});
