// The file of ipsec.ivState: which sequence numbers may have been used with which key, so that none is used again after a
// restart, however the process ended (RFC 4106 section 3.1; table/key-counters.ts says when it is written).
//
//   magic · number of records · salt · records: fingerprint, IV, limit · SHA-256 of all that
//
// It is replaced as a whole (written beside, fsync, rename, fsync of the directory), so whenever the process or the machine stops, the
// old file is there or the new one. It holds no key: the fingerprint is a keyed hash with the file's own random salt. Price: a
// write and two fsyncs per key that is new; 32 bytes per key, in the order in which they give way.
//
// What it cannot see: that somebody put back an older copy. Two processes with one file: the one that comes late goes on, the other
// one is refused what it did not reserve yet.

import { createHash, createHmac, randomBytes } from "node:crypto";
import { closeSync, fstatSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { SluiceError } from "../errors.js";
import type { IvRecord, IvStore } from "../table/key-counters.js";

const MAGIC = Buffer.from("SLUICEI1");
const SALT = 32;
const FINGERPRINT = 16;
const CHECK = 32;

/** Offsets in bytes. */
const enum At {
  count = 8,
  salt = 12,
  records = 44,
  // In a record:
  ivHigh = 16,
  ivLow = 20,
  limit = 24,
  size = 32,
}

/** Far more than any table of SAs. */
const MAX_RECORDS = 1 << 20;

export interface IvFileOptions {
  /** Keys to remember: at least SaMemory.keys. */
  readonly capacity: number;
  /** Numbers reserved at once: at least what a worker may use in a few turns of SaTable.extend(). */
  readonly block?: number;
}

/** What tells keys apart and tells nobody what they are. */
export function keyedFingerprint(salt: Uint8Array): (key: Uint8Array) => string {
  return (key) => createHmac("sha256", salt).update(key).digest().toString("hex", 0, FINGERPRINT);
}

export class IvFile implements IvStore {
  readonly block: number;
  readonly fingerprint: (key: Uint8Array) => string;
  readonly #path: string;
  readonly #capacity: number;
  readonly #salt: Uint8Array;
  /** By fingerprint, of keys that a counter has. */
  readonly #used = new Map<string, IvRecord>();
  /** And of others, the longest unused first. */
  readonly #idle = new Map<string, IvRecord>();
  /** The file as this process wrote it last, kept open: as long as it is, no other has its inode number. */
  #file = -1;

  /** Reads the file, or makes it. */
  constructor(path: string, { capacity, block = 2 ** 24 }: IvFileOptions) {
    this.#path = path;
    this.#capacity = capacity;
    this.block = block;
    const image = this.#attempt("read", () => (statSync(path, { throwIfNoEntry: false }) ? readFileSync(path) : undefined));
    this.#salt = image === undefined ? randomBytes(SALT) : this.#load(image);
    this.fingerprint = keyedFingerprint(this.#salt);
    // What cannot be written is to be known now, not when a key comes.
    this.#attempt("write", () => this.#replace());
  }

  get(fingerprint: string): IvRecord | undefined {
    return this.#used.get(fingerprint) ?? this.#idle.get(fingerprint);
  }

  put(records: readonly IvRecord[]): void {
    for (const record of records) {
      this.#idle.delete(record.fingerprint);
      this.#used.set(record.fingerprint, record);
    }
    this.#attempt("write", () => {
      if (statSync(this.#path).ino !== fstatSync(this.#file).ino) throw new Error("another process has written it since");
      this.#replace();
    });
  }

  idle(fingerprint: string): void {
    const record = this.#used.get(fingerprint);
    if (record === undefined) return;
    this.#used.delete(fingerprint);
    this.#idle.set(fingerprint, record);
  }

  close(): void {
    closeSync(this.#file);
  }

  /** @returns the salt */
  #load(image: Buffer): Uint8Array {
    const count = image.length < At.records + CHECK ? 0 : image.readUInt32BE(At.count);
    const end = At.records + count * At.size;
    const whole =
      count <= MAX_RECORDS &&
      image.length === end + CHECK &&
      image.subarray(0, MAGIC.length).equals(MAGIC) &&
      digest(image.subarray(0, end)).equals(image.subarray(end));
    if (!whole) {
      throw new SluiceError(
        "file",
        `ipsec.ivState: ${this.#path} is damaged, or is something else: which sequence numbers were used with which key cannot be told. ` +
          "Name another file or delete this one, and give every tunnel new keys: those used so far must not be used again. " +
          "Do not put back an older copy.",
      );
    }
    for (let at: number = At.records; at < end; at += At.size) {
      const fingerprint = image.toString("hex", at, at + FINGERPRINT);
      this.#idle.set(fingerprint, {
        fingerprint,
        ivHigh: image.readInt32BE(at + At.ivHigh),
        ivLow: image.readInt32BE(at + At.ivLow),
        limit: Number(image.readBigUInt64BE(at + At.limit)),
      });
    }
    return Uint8Array.from(image.subarray(At.salt, At.records));
  }

  #image(): Buffer {
    for (const records of [this.#idle, this.#used]) {
      for (const fingerprint of records.keys()) {
        if (this.#idle.size + this.#used.size <= this.#capacity) break;
        records.delete(fingerprint);
      }
    }
    const count = this.#idle.size + this.#used.size;
    const end = At.records + count * At.size;
    const image = Buffer.alloc(end + CHECK);
    image.set(MAGIC);
    image.writeUInt32BE(count, At.count);
    image.set(this.#salt, At.salt);
    let at: number = At.records;
    for (const records of [this.#idle, this.#used]) {
      for (const { fingerprint, ivHigh, ivLow, limit } of records.values()) {
        image.write(fingerprint, at, "hex");
        image.writeInt32BE(ivHigh, at + At.ivHigh);
        image.writeInt32BE(ivLow, at + At.ivLow);
        image.writeBigUInt64BE(BigInt(limit), at + At.limit);
        at += At.size;
      }
    }
    image.set(digest(image.subarray(0, end)), end);
    return image;
  }

  #replace(): void {
    const image = this.#image();
    const beside = `${this.#path}.new`;
    rmSync(beside, { force: true });
    const file = openSync(beside, "wx", 0o600);
    try {
      for (let done = 0; done < image.length; ) done += writeSync(file, image, done);
      fsyncSync(file);
      renameSync(beside, this.#path);
    } catch (error) {
      closeSync(file);
      throw error;
    }
    if (this.#file >= 0) closeSync(this.#file);
    this.#file = file;
    const directory = openSync(dirname(this.#path), "r");
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  }

  #attempt<T>(verb: "read" | "write", action: () => T): T {
    try {
      return action();
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new SluiceError(
        "file",
        `ipsec.ivState: cannot ${verb} ${this.#path}: ${why}. It must be a file of this device alone, in a directory that it may write to.`,
        { cause },
      );
    }
  }
}

function digest(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
