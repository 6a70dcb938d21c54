// The provider that is always there, and the reference: node:crypto. Several calls into C++ and several objects for each
// packet, and an exception for each that is not authentic: there is no other way through node:crypto. OpenSSL wipes what
// it allocates for a packet when that is collected.

import {
  type CipherCCM,
  type CipherGCM,
  createCipheriv,
  createDecipheriv,
  type DecipherCCM,
  type DecipherGCM,
} from "node:crypto";
import { AAD_MAX, type Aead, CONTEXTS, icvLength, Job, keyLength, SuiteBits, saltLength } from "./aead.js";

interface Context {
  readonly aes256: boolean;
  readonly ccm: boolean;
  readonly key: Uint8Array;
  /** The salt; each packet's IV is written behind it. */
  readonly nonce: Uint8Array;
  readonly icv: { readonly authTagLength: number };
}

export class NodeAead implements Aead {
  readonly name = "node";
  readonly #frames: Uint8Array;
  readonly #contexts: (Context | undefined)[] = [];

  constructor(frames: Uint8Array) {
    this.#frames = frames;
  }

  set(context: number, suite: number, key: Uint8Array, salt: Uint8Array): void {
    if (
      context >>> 0 >= CONTEXTS ||
      suite >>> 0 >= SuiteBits.count ||
      key.length !== keyLength(suite) ||
      salt.length !== saltLength(suite)
    ) {
      throw new RangeError("NodeAead.set: context, suite, or a length is out of range");
    }
    this.wipe(context);
    // Of ArrayBuffers, as Aead.set says.
    const own = new Uint8Array(new ArrayBuffer(key.length));
    const nonce = new Uint8Array(new ArrayBuffer(salt.length + 8));
    own.set(key);
    nonce.set(salt);
    this.#contexts[context] = {
      aes256: (suite & SuiteBits.aes256) !== 0,
      ccm: (suite & SuiteBits.ccm) !== 0,
      key: own,
      nonce,
      icv: { authTagLength: icvLength(suite) },
    };
  }

  wipe(context: number): void {
    this.#contexts[context]?.key.fill(0);
    this.#contexts[context]?.nonce.fill(0);
    this.#contexts[context] = undefined;
  }

  seal(jobs: Int32Array, n: number): void {
    for (let at = 0; at < n * Job.size; at += Job.size) {
      const context = this.#contextOf(jobs, at);
      const data = this.#data(jobs, at);
      const cipher = sealing(context);
      cipher.setAAD(this.#aad(jobs, at), { plaintextLength: data.length });
      data.set(cipher.update(data));
      cipher.final();
      this.#frames.set(cipher.getAuthTag(), jobs[at + Job.data] + data.length);
    }
  }

  open(jobs: Int32Array, n: number): void {
    for (let at = 0; at < n * Job.size; at += Job.size) {
      const context = this.#contextOf(jobs, at);
      const data = this.#data(jobs, at);
      const decipher = opening(context);
      const icv = jobs[at + Job.data] + data.length;
      decipher.setAuthTag(this.#frames.subarray(icv, icv + context.icv.authTagLength));
      decipher.setAAD(this.#aad(jobs, at), { plaintextLength: data.length });
      try {
        data.set(decipher.update(data));
        decipher.final();
        jobs[at + Job.status] = 0;
      } catch {
        data.fill(0);
        jobs[at + Job.status] = 1;
      }
    }
  }

  close(): void {
    for (const context of this.#contexts.keys()) this.wipe(context);
  }

  /** The job's context with the job's IV in its nonce; what the job names is known to lie in the frame memory then. */
  #contextOf(jobs: Int32Array, at: number): Context {
    const context = this.#contexts[jobs[at + Job.context]];
    if (context === undefined) throw new RangeError("NodeAead: a job names a context that is not there");
    this.#within(jobs[at + Job.iv], 8);
    if (jobs[at + Job.aadLength] > AAD_MAX) throw new RangeError("NodeAead: a job has too long an AAD");
    this.#within(jobs[at + Job.aad], jobs[at + Job.aadLength]);
    this.#within(jobs[at + Job.data], jobs[at + Job.length], context.icv.authTagLength);
    const iv = jobs[at + Job.iv];
    context.nonce.set(this.#frames.subarray(iv, iv + 8), context.nonce.length - 8);
    return context;
  }

  #within(start: number, length: number, behind = 0): void {
    if (start < 0 || length < 0 || start + length + behind > this.#frames.length) {
      throw new RangeError("NodeAead: a job lies outside the frame memory");
    }
  }

  #aad(jobs: Int32Array, at: number): Uint8Array {
    return this.#frames.subarray(jobs[at + Job.aad], jobs[at + Job.aad] + jobs[at + Job.aadLength]);
  }

  #data(jobs: Int32Array, at: number): Uint8Array {
    return this.#frames.subarray(jobs[at + Job.data], jobs[at + Job.data] + jobs[at + Job.length]);
  }
}

function sealing({ ccm, aes256, key, nonce, icv }: Context): CipherGCM | CipherCCM {
  return ccm
    ? createCipheriv(aes256 ? "aes-256-ccm" : "aes-128-ccm", key, nonce, icv)
    : createCipheriv(aes256 ? "aes-256-gcm" : "aes-128-gcm", key, nonce, icv);
}

function opening({ ccm, aes256, key, nonce, icv }: Context): DecipherGCM | DecipherCCM {
  return ccm
    ? createDecipheriv(aes256 ? "aes-256-ccm" : "aes-128-ccm", key, nonce, icv)
    : createDecipheriv(aes256 ? "aes-256-gcm" : "aes-128-gcm", key, nonce, icv);
}
