// A file port on a rig, and captures in the forms that are rare.

import type { FileDriver } from "../../src/config/config.js";
import { FilePort, type FilePortOptions } from "../../src/port/file.js";
import type { Rig } from "./rig.js";

export const MAX = 9216;
export const plain = { driver: "file", loop: false, realtime: false } as const;

export function openFile(rig: Rig, driver: Partial<FileDriver>, more: Partial<FilePortOptions> = {}): FilePort {
  return new FilePort({
    index: 1,
    driver: { ...plain, ...driver },
    worker: 0,
    maxFrame: MAX,
    counters: rig.counters,
    tell: rig.tell,
    ...more,
  });
}

/** The headers of a pcap in the other byte order. */
export function bigEndian(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  copy.subarray(0, 4).swap32();
  copy.subarray(4, 8).swap16();
  copy.subarray(8, 24).swap32();
  for (let at = 24; at < copy.length; ) {
    const length = copy.readUInt32LE(at + 8);
    copy.subarray(at, at + 16).swap32();
    at += 16 + length;
  }
  return copy;
}

/** A pcapng (draft-ietf-opsawg-pcapng) of Ethernet interfaces with these snap lengths, which take turns. */
export function writePcapng(records: readonly { data: Uint8Array }[], snaps: readonly number[], big: boolean): Buffer {
  const u32 = (value: number) => {
    const word = Buffer.from(Uint32Array.of(value).buffer);
    return big ? word.swap32() : word;
  };
  const u16 = (value: number) => (big ? Buffer.of(value >> 8, value & 255) : Buffer.of(value & 255, value >> 8));
  const block = (type: number, ...parts: Buffer[]) => {
    const body = Buffer.concat(parts);
    return Buffer.concat([u32(type), u32(body.length + 12), body, u32(body.length + 12)]);
  };
  const head = [block(0x0a0d0d0a, u32(0x1a2b3c4d), u16(1), u16(0), u32(0xffffffff), u32(0xffffffff))];
  for (const snap of snaps) head.push(block(1, u16(1), u16(0), u32(snap)));
  const packets = records.map(({ data }, i) => {
    const padding = Buffer.alloc((4 - (data.length % 4)) % 4);
    return block(6, u32(i % snaps.length), u32(0), u32(i), u32(data.length), u32(data.length), Buffer.from(data), padding);
  });
  return Buffer.concat([...head, ...packets]);
}
