// Reads frames the slow and plain way, for tests: an independent check of what src/port wrote.

export interface Seen {
  /** Offset and length of the TCP or UDP payload of the innermost packet. */
  payload: Uint8Array;
  ids: number[];
  sequence: number;
  flags: number;
}

const be16 = (b: Uint8Array, at: number) => b[at] * 256 + b[at + 1];

/** RFC 1071 over bytes: 0xffff when the region with its checksum is right. */
export function onesSum(bytes: Iterable<number>): number {
  let total = 0;
  let high = true;
  for (const byte of bytes) {
    total += high ? byte * 256 : byte;
    high = !high;
  }
  while (total > 0xffff) total = (total % 65536) + Math.floor(total / 65536);
  return total;
}

/** Walks a frame to its innermost TCP or UDP payload; throws at any wrong length or checksum on the way. */
export function verify(frame: Uint8Array): Seen {
  const seen: Seen = { payload: new Uint8Array(), ids: [], sequence: 0, flags: 0 };
  ethernet(frame, seen);
  return seen;
}

function ethernet(frame: Uint8Array, seen: Seen): void {
  let at = 12;
  while (be16(frame, at) === 0x8100 || be16(frame, at) === 0x88a8) at += 4;
  if (be16(frame, at) !== 0x0800 && be16(frame, at) !== 0x86dd) throw new Error("not IP");
  ip(frame.subarray(at + 2), seen);
}

function ip(packet: Uint8Array, seen: Seen): void {
  if (packet[0] >> 4 === 4) {
    const header = (packet[0] & 15) * 4;
    if (be16(packet, 2) !== packet.length) throw new Error(`IPv4 length ${be16(packet, 2)} of ${packet.length}`);
    if (onesSum(packet.subarray(0, header)) !== 0xffff) throw new Error("IPv4 checksum");
    seen.ids.push(be16(packet, 4));
    transport(packet[9], packet.subarray(12, 20), packet.subarray(header), seen);
  } else {
    if (be16(packet, 4) !== packet.length - 40) throw new Error(`IPv6 length ${be16(packet, 4)} of ${packet.length - 40}`);
    let protocol = packet[6];
    let at = 40;
    while (protocol === 0 || protocol === 60) {
      protocol = packet[at];
      at += (packet[at + 1] + 1) * 8;
    }
    transport(protocol, packet.subarray(8, 40), packet.subarray(at), seen);
  }
}

function transport(protocol: number, addresses: Uint8Array, bytes: Uint8Array, seen: Seen): void {
  if (protocol === 4 || protocol === 41) {
    ip(bytes, seen);
    return;
  }
  const pseudo = [...addresses, 0, protocol, bytes.length >> 8, bytes.length & 255];
  const right = () => onesSum([...pseudo, ...bytes]) === 0xffff;
  if (protocol === 6) {
    if (!right()) throw new Error("TCP checksum");
    seen.sequence = be16(bytes, 4) * 65536 + be16(bytes, 6);
    seen.flags = bytes[13];
    seen.payload = bytes.subarray((bytes[12] >> 4) * 4);
    return;
  }
  if (protocol !== 17) throw new Error(`protocol ${protocol}`);
  if (be16(bytes, 4) !== bytes.length) throw new Error(`UDP length ${be16(bytes, 4)} of ${bytes.length}`);
  if (be16(bytes, 6) !== 0 && !right()) throw new Error("UDP checksum");
  const port = be16(bytes, 2);
  if (port === 6081) ethernet(bytes.subarray(16 + (bytes[8] & 63) * 4), seen);
  else if (port === 4789 || port === 8472) ethernet(bytes.subarray(16), seen);
  else seen.payload = bytes.subarray(8);
}
