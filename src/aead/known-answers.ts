// Known answers of every suite, for each start to run through the provider that it is about to trust.
//
// GCM: test cases 4 and 16 of "The Galois/Counter Mode of Operation (GCM)" (McGrew and Viega, submitted to NIST), cut to the
// shorter ICVs as SP 800-38D section 5.2.1.2 has it. CCM: the same keys, nonce less its fourth byte, data and AAD; what
// python3-cryptography 38 makes of them, as nothing published has a nonce of 11 bytes with ICVs of 8 and 12.

import { type Aead, icvLength, Job, keyLength, SuiteBits, saltLength } from "./aead.js";

const KEY = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
const SALT = hex("cafebabe");
const IV = hex("facedbaddecaf888");
const AAD = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
const PLAIN = hex(
  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
);

interface Answer {
  readonly data: Uint8Array;
  /** By the ICV's length; the longest alone where the others are its start. */
  readonly icv: Readonly<Record<number, Uint8Array>>;
}

/** By SuiteBits.aes256 and .ccm. */
const ANSWERS: readonly Answer[] = [
  {
    data: hex(
      "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
    ),
    icv: { 16: hex("5bc94fbc3221a5db94fae95ae7121a47") },
  },
  {
    data: hex(
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
    ),
    icv: { 16: hex("76fc6ece0f4e1768cddf8853bb2d551b") },
  },
  {
    data: hex(
      "d7f3427bf5d9f52dc06eced7d7235a8e10c87adaa521af40db17a549bc463aeb4d610135b2b6ee7ec399ef4b5db2ddb80ff560cac8b1b8a8d1016450",
    ),
    icv: { 8: hex("5faf0ce8ec3e810c"), 12: hex("7eaa1505f88a0c6827061f85"), 16: hex("d68eb030ba4eec68fb74bfde8180df72") },
  },
  {
    data: hex(
      "fedc90eba701f81259fea2fdb744785a8555bf9adcab369f8b627045c6c50b83f791094d8c83f9d345ad85ddbd73c33fcac317a6ee34b1ca66dd96c6",
    ),
    icv: { 8: hex("a1fa73fcc7b72bea"), 12: hex("84678e501566f97baabea509"), 16: hex("31141d1b0f68b4c7983af08b814a8d48") },
  },
];

const enum At {
  iv = 0,
  aad = 8,
  data = 32,
  /** Bytes of frame memory that are used. */
  size = 128,
}

/** @param open makes the provider over the frame memory that it is given @returns what is wrong with it, or undefined */
export function failedAnswer(open: (frames: Uint8Array) => Aead): string | undefined {
  const frames = new Uint8Array(At.size);
  const aead = open(frames);
  try {
    for (let suite = 0; suite < SuiteBits.count; suite++) {
      const failure = failedSuite(aead, frames, suite);
      if (failure !== undefined) return `${suiteName(suite)}: ${failure}`;
    }
    return undefined;
  } finally {
    aead.close();
  }
}

export function suiteName(suite: number): string {
  const mode = (suite & SuiteBits.ccm) === 0 ? "GCM" : "CCM";
  return `AES-${keyLength(suite) * 8}-${mode} with an ICV of ${icvLength(suite)} bytes`;
}

function failedSuite(aead: Aead, frames: Uint8Array, suite: number): string | undefined {
  const answer = ANSWERS[suite & (SuiteBits.aes256 | SuiteBits.ccm)];
  const length = icvLength(suite);
  const icv = (answer.icv[length] ?? answer.icv[16]).subarray(0, length);
  const sealed = Uint8Array.of(...answer.data, ...icv);
  const jobs = new Int32Array(Job.size);
  jobs.set([suite, At.iv, At.aad, AAD.length, At.data, PLAIN.length]);
  frames.set(IV, At.iv);
  frames.set(AAD, At.aad);
  frames.set(PLAIN, At.data);
  aead.set(suite, suite, KEY.subarray(0, keyLength(suite)), SALT.subarray(0, saltLength(suite)));
  aead.seal(jobs, 1);
  if (!holds(frames, sealed)) return "what it seals is not the known answer";
  if (!opens(aead, jobs) || !holds(frames, PLAIN)) return "it does not open the known answer";
  frames.set(sealed, At.data);
  frames[At.data + sealed.length - 1] ^= 1;
  if (opens(aead, jobs) || !holds(frames, new Uint8Array(PLAIN.length))) return "it lets a wrong ICV pass";
  return undefined;
}

function opens(aead: Aead, jobs: Int32Array): boolean {
  aead.open(jobs, 1);
  return jobs[Job.status] === 0;
}

function holds(frames: Uint8Array, expected: Uint8Array): boolean {
  return expected.every((byte, i) => frames[At.data + i] === byte);
}

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "hex"));
}
