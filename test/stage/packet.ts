// Frames for the tests of table and stage, built byte by byte from the RFCs' drawings. Independent of src/wire: literal
// offsets on purpose. Checksums are left 0: the device does not verify them.

export interface Tag {
  readonly tpid: number;
  readonly tci: number;
}

export interface Flow {
  readonly tags?: readonly Tag[];
  readonly ipv6: boolean;
  /** 4 or 16 bytes. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly udp: boolean;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload?: number;
}

export interface TcpFields {
  readonly flags?: number;
  readonly sequence?: number;
  readonly acknowledgment?: number;
}

const MACS = [0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1];

export function join(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function u16(n: number): number[] {
  return [(n >>> 8) & 0xff, n & 0xff];
}

function u32(n: number): number[] {
  return [...u16(n >>> 16), ...u16(n)];
}

/** Ethernet II header with tags, then the payload. */
export function ethernet(type: number, payload: Uint8Array, tags: readonly Tag[] = []): Uint8Array {
  return join(MACS, ...tags.map((tag) => [...u16(tag.tpid), ...u16(tag.tci)]), u16(type), payload);
}

/** RFC 791 section 3.1. `options`: whole words behind the header. */
export function ipv4(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  payload: Uint8Array,
  fragment = 0,
  options: readonly number[] = [],
): Uint8Array {
  const ihl = 5 + options.length / 4;
  const header = [0x40 | ihl, 0, ...u16(ihl * 4 + payload.length), 0, 1, ...u16(fragment), 64, protocol, 0, 0];
  return join(header, source, destination, options, payload);
}

/** RFC 8200 section 3. */
export function ipv6(source: Uint8Array, destination: Uint8Array, next: number, payload: Uint8Array): Uint8Array {
  return join([0x60, 0, 0, 0, ...u16(payload.length), next, 64], source, destination, payload);
}

/** RFC 9293 section 3.1. */
export function tcp(sourcePort: number, destinationPort: number, payload: Uint8Array, fields: TcpFields = {}): Uint8Array {
  const { flags = 0x10, sequence = 0, acknowledgment = 0 } = fields;
  return join(
    u16(sourcePort),
    u16(destinationPort),
    u32(sequence),
    u32(acknowledgment),
    [0x50, flags, 0xff, 0xff, 0, 0, 0, 0],
    payload,
  );
}

/** RFC 768. */
export function udp(sourcePort: number, destinationPort: number, payload: Uint8Array): Uint8Array {
  return join(u16(sourcePort), u16(destinationPort), u16(8 + payload.length), [0, 0], payload);
}

/** The whole frame of a flow. */
export function frameOf(flow: Flow, fields: TcpFields = {}): Uint8Array {
  const payload = new Uint8Array(flow.payload ?? 0).fill(0x5a);
  const l4 = flow.udp
    ? udp(flow.sourcePort, flow.destinationPort, payload)
    : tcp(flow.sourcePort, flow.destinationPort, payload, fields);
  const protocol = flow.udp ? 17 : 6;
  return flow.ipv6
    ? ethernet(0x86dd, ipv6(flow.source, flow.destination, protocol, l4), flow.tags)
    : ethernet(0x0800, ipv4(flow.source, flow.destination, protocol, l4), flow.tags);
}
