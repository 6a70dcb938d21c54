// The vectors of ../shared/vectors that ESP can express: nonces of 12 bytes with GCM and 11 with CCM, keys of 128 and 256 bits.
// GCM's shorter ICVs are the start of the long one (NIST SP 800-38D); of CCM nothing with a nonce of 11 bytes and a shorter ICV
// is published: src/aead/known-answers.ts has such ones of another implementation.

import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import t from "tap";
import { AAD_MAX, icvLength, SuiteBits } from "../../src/aead/aead.js";
import { openAead } from "../../src/aead/choose.js";
import { failedAnswer } from "../../src/aead/known-answers.js";
import { type Packet, PROVIDERS, Rig } from "./rig.js";

interface Group {
  readonly ivSize: number;
  readonly keySize: number;
  readonly tests: readonly {
    readonly tcId: number;
    readonly key: string;
    readonly iv: string;
    readonly aad: string;
    readonly msg: string;
    readonly ct: string;
    readonly tag: string;
    readonly result: "valid" | "invalid";
  }[];
}

/** A vector of draft-mcgrew-gcm-test-01. */
interface EspVector {
  readonly key: string;
  readonly salt: string;
  readonly iv: string;
  readonly plain: string;
  readonly spi: string;
  readonly seq: string;
  readonly ctag: string;
}

interface Vector extends Packet {
  readonly name: string;
  readonly sealed: Uint8Array;
  readonly valid: boolean;
}

const SHARED = resolve("../shared/vectors");
const skip = existsSync(SHARED) ? false : "needs ../shared/vectors";

function vectorsOf<T>(name: string): T {
  return JSON.parse(readFileSync(`${SHARED}/${name}`, "utf8"));
}

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "hex"));
}

function wycheproof(file: string, ccm: number, nonceBits: number): Vector[] {
  const { testGroups } = vectorsOf<{ testGroups: readonly Group[] }>(file);
  const saltBytes = nonceBits / 8 - 8;
  return testGroups
    .filter(({ ivSize, keySize }) => ivSize === nonceBits && keySize !== 192)
    .flatMap(({ keySize, tests }) =>
      tests.map((test) => ({
        name: `${file} ${test.tcId}`,
        suite: (keySize === 256 ? SuiteBits.aes256 : 0) | ccm | (2 << SuiteBits.icvShift),
        key: hex(test.key),
        salt: hex(test.iv).subarray(0, saltBytes),
        iv: hex(test.iv).subarray(saltBytes),
        aad: hex(test.aad),
        plain: hex(test.msg),
        sealed: hex(test.ct + test.tag),
        valid: test.result === "valid",
      })),
    )
    .filter(({ aad }) => aad.length <= AAD_MAX);
}

function mcgrew(): Vector[] {
  const file = "mcgrew-esp-gcm-esn.json";
  return vectorsOf<readonly EspVector[]>(file).map((vector, i) => ({
    name: `${file} ${i}`,
    suite: (vector.key.length === 64 ? SuiteBits.aes256 : 0) | (2 << SuiteBits.icvShift),
    key: hex(vector.key),
    salt: hex(vector.salt),
    iv: hex(vector.iv),
    aad: hex(vector.spi.slice(2) + vector.seq.slice(2)),
    plain: hex(vector.plain),
    sealed: hex(vector.ctag),
    valid: true,
  }));
}

/** The same with ICVs of 8 and 12 bytes. */
function cut(vector: Vector): Vector[] {
  if (!vector.valid || (vector.suite & SuiteBits.ccm) !== 0) return [];
  return [0, 1].map((icv) => {
    const suite = (vector.suite & (SuiteBits.aes256 | SuiteBits.ccm)) | (icv << SuiteBits.icvShift);
    const sealed = vector.sealed.subarray(0, vector.plain.length + icvLength(suite));
    return { ...vector, name: `${vector.name} with an ICV of ${icvLength(suite)} bytes`, suite, sealed };
  });
}

function published(): Vector[] {
  const whole = [
    ...mcgrew(),
    ...wycheproof("wycheproof-aes-gcm.json", 0, 96),
    ...wycheproof("wycheproof-aes-ccm.json", SuiteBits.ccm, 88),
  ];
  return [...whole, ...whole.flatMap(cut)];
}

for (const { name, skip: missing } of PROVIDERS) {
  t.test(`${name}: published vectors are sealed and opened, and false ones are not`, { skip: missing || skip }, async (t) => {
    const rig = new Rig(name);
    const vectors = published();
    t.ok(vectors.length > 200 && vectors.some(({ valid }) => !valid), `${vectors.length} vectors`);
    for (const vector of vectors) {
      if (vector.valid) {
        t.same(rig.seal(vector), vector.sealed, `${vector.name} is sealed`);
        t.same(rig.open(vector, vector.sealed), vector.plain, `${vector.name} is opened`);
      } else {
        t.equal(rig.open(vector, vector.sealed), undefined, `${vector.name} is refused`);
        t.same(rig.left(vector.plain.length), new Uint8Array(vector.plain.length), `${vector.name} leaves zeros`);
      }
    }
    rig.aead.close();
  });

  t.test(`${name}: the known answers of every suite`, { skip: missing }, async (t) => {
    t.equal(
      failedAnswer((frames) => openAead(name, frames)),
      undefined,
    );
  });
}
