// Authenticated encryption over ranges of frame memory, a burst per call: the interface that the providers share
// (AES-GCM, NIST SP 800-38D; AES-CCM, RFC 3610). A provider knows no packet: what is authenticated, what is encrypted and where the
// parts of the nonce lie is said by the job.
//
// One provider per worker. A context holds a key in the form that the provider works with; it is made and wiped by the worker
// that uses it, and what is left when the provider is closed is wiped then.

/** Of the key in bits, the mode, and the ICV in bytes: AES-{128,256} × {GCM,CCM} × {8,12,16}. */
export const enum SuiteBits {
  /** Set: 256 bits, else 128. */
  aes256 = 1,
  /** Set: CCM, else GCM. */
  ccm = 2,
  /** × 0, 1, 2: ICV of 8, 12, 16 bytes. */
  icvShift = 2,
  count = 12,
}

/** Int32 fields of a job. Offsets in bytes of frame memory. */
export const enum Job {
  /** Number of the context. */
  context,
  /** The 8 bytes that follow the context's salt in the nonce (RFC 4106 section 4, RFC 4309 section 4). */
  iv,
  aad,
  /** At most AAD_MAX. */
  aadLength,
  /** What is encrypted, in place. Its ICV stands behind it, or is written there. */
  data,
  length,
  /** Written by open: 0, or 1 when the ICV is wrong. The data of such a job is zeros then. */
  status,
  size = 8,
}

/** What all providers take (ipsec-mb the least, with CCM); ESP needs 12. */
export const AAD_MAX = 46;
/** Contexts are numbered below this. */
export const CONTEXTS = 1 << 20;

export interface Aead {
  readonly name: AeadName;
  /**
   * Makes the context of this number, in the place of one that is there. Keeps no reference to the arguments, which must be
   * views of shared memory or of an ArrayBuffer that was made as such: what `new Uint8Array(n)` makes lies in V8's heap when
   * it is small, is moved out of it by the first native call, and leaves its bytes behind, where nobody wipes them.
   * @param suite SuiteBits
   * @param key 16 or 32 bytes
   * @param salt 4 bytes (GCM) or 3 (CCM)
   */
  set(context: number, suite: number, key: Uint8Array, salt: Uint8Array): void;
  /** Wipes the context; nothing happens when there is none. */
  wipe(context: number): void;
  /**
   * Jobs 0 … n-1 of `jobs`, Job.size words each. A job of a context that is not there, or one that does not lie in the frame
   * memory, is a mistake of the caller: a RangeError, and what the jobs before and after it come to is open.
   */
  seal(jobs: Int32Array, n: number): void;
  open(jobs: Int32Array, n: number): void;
  /** Wipes all contexts. */
  close(): void;
}

export type AeadName = "node" | "openssl" | "ipsec-mb";
export const AEAD_NAMES: readonly AeadName[] = ["ipsec-mb", "openssl", "node"];

export function keyLength(suite: number): number {
  return (suite & SuiteBits.aes256) === 0 ? 16 : 32;
}

export function saltLength(suite: number): number {
  return (suite & SuiteBits.ccm) === 0 ? 4 : 3;
}

export function icvLength(suite: number): number {
  return 8 + ((suite >>> SuiteBits.icvShift) << 2);
}
