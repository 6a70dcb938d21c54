// Writes demo.pcap: ten seconds of traffic between two hosts, as a device between them and the application behind it see
// it. Made here, byte by byte, so that every run gives the same file: node pcaps/make-demo.mjs [FILE]
//
//   TCP   10.0.0.1:40000 ↔ 10.1.0.1:80     50 packets/s each way, of a connection that is already open
//   UDP   10.0.0.1:40001 → 10.1.0.1:7000   10 packets/s
//   UDP   2001:db8::1:40002 → 2001:db8:1::1:7001   5 packets/s
//   ARP   each host asks for the other every five seconds
//   ICMP  the application at 02:00:00:00:00:aa pings both hosts once a second

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const CLIENT = { mac: "020000000001", ip: "0a000001", ip6: "20010db8000000000000000000000001" };
const SERVER = { mac: "020000000002", ip: "0a010001", ip6: "20010db8000100000000000000000001" };
const APPLICATION = { mac: "0200000000aa", ip: "0a0000fe" };
const BEGIN = Date.UTC(2026, 0, 1) / 1000;
const SECONDS = 10;

const hex = (text) => Buffer.from(text, "hex");
const u8 = (value) => Buffer.of(value);
const u16 = (value) => Buffer.of((value >> 8) & 0xff, value & 0xff);
const u32 = (value) => Buffer.concat([u16(value >>> 16), u16(value & 0xffff)]);

/** The Internet checksum (RFC 1071). */
function checksum(...parts) {
  const bytes = Buffer.concat([...parts, Buffer.alloc(1)]);
  let sum = 0;
  for (let i = 0; i + 1 < bytes.length; i += 2) sum += bytes.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** The two checksum bytes at `at` are zero and become those of the packet behind the pseudo-header. */
function sum(packet, at, ...pseudo) {
  packet.writeUInt16BE(checksum(...pseudo, packet), at);
  return packet;
}

const ethernet = (from, to, type, payload) => Buffer.concat([hex(to.mac), hex(from.mac), u16(type), payload]);

let identification = 0;
function ipv4(from, to, protocol, payload) {
  const head = [u16(0x4500), u16(20 + payload.length), u16(++identification), u16(0x4000), u8(64), u8(protocol), u16(0)];
  return ethernet(from, to, 0x0800, Buffer.concat([sum(Buffer.concat([...head, hex(from.ip), hex(to.ip)]), 10), payload]));
}

function tcp(from, to, ports, sequence, acknowledgment, payload) {
  const head = [u16(ports[0]), u16(ports[1]), u32(sequence), u32(acknowledgment), u8(0x50), u8(0x18), u16(64240), u32(0)];
  const segment = Buffer.concat([...head, payload]);
  return ipv4(from, to, 6, sum(segment, 16, hex(from.ip), hex(to.ip), u16(6), u16(segment.length)));
}

function udp(from, to, ports, payload, six) {
  const datagram = Buffer.concat([u16(ports[0]), u16(ports[1]), u16(8 + payload.length), u16(0), payload]);
  if (!six) return ipv4(from, to, 17, sum(datagram, 6, hex(from.ip), hex(to.ip), u16(17), u16(datagram.length)));
  sum(datagram, 6, hex(from.ip6), hex(to.ip6), u32(datagram.length), u32(17));
  const head = [u32(0x60000000), u16(datagram.length), u8(17), u8(64), hex(from.ip6), hex(to.ip6)];
  return ethernet(from, to, 0x86dd, Buffer.concat([...head, datagram]));
}

function echo(from, to, type, sequence) {
  const message = Buffer.concat([u8(type), u8(0), u16(0), u16(0x51ce), u16(sequence), Buffer.from("sluice demo ping  ")]);
  return ipv4(from, to, 1, sum(message, 2));
}

function arp(from, to, operation) {
  const target = operation === 1 ? { mac: "000000000000", ip: to.ip } : to;
  const link = operation === 1 ? { mac: "ffffffffffff" } : to;
  const addresses = [hex(from.mac), hex(from.ip), hex(target.mac), hex(target.ip)];
  const message = [u16(1), u16(0x0800), u8(6), u8(4), u16(operation), ...addresses, Buffer.alloc(18)];
  return ethernet(from, link, 0x0806, Buffer.concat(message));
}

/** [microseconds, frame] */
const frames = [];
const add = (time, frame) => frames.push([time, frame]);

const clientText = Buffer.from("GET more");
const serverText = Buffer.from("have it ");
for (let i = 0; i < SECONDS * 50; i++) {
  const at = i * 20_000;
  const client = 1_000_000 + i * clientText.length;
  const server = 2_000_000 + i * serverText.length;
  add(at, tcp(CLIENT, SERVER, [40000, 80], client, server, clientText));
  add(at + 10_000, tcp(SERVER, CLIENT, [80, 40000], server, client + clientText.length, serverText));
}
for (let i = 0; i < SECONDS * 10; i++) add(i * 100_000 + 3_000, udp(CLIENT, SERVER, [40001, 7000], Buffer.from(`sluice demo ${i}`.padEnd(18))));
for (let i = 0; i < SECONDS * 5; i++) add(i * 200_000 + 6_000, udp(CLIENT, SERVER, [40002, 7001], Buffer.from(`demo ${i}`.padEnd(8)), true));
for (let i = 0; i < SECONDS; i++) {
  const pings = [
    [CLIENT, 500_000],
    [SERVER, 750_000],
  ];
  for (const [host, offset] of pings) {
    add(i * 1_000_000 + offset + 4_000, echo(APPLICATION, host, 8, i + 1));
    add(i * 1_000_000 + offset + 5_000, echo(host, APPLICATION, 0, i + 1));
  }
}
for (const [asker, asked, offset] of [
  [CLIENT, SERVER, 1_000_000],
  [SERVER, CLIENT, 3_500_000],
]) {
  for (let i = 0; i < SECONDS / 5; i++) {
    add(i * 5_000_000 + offset + 1_000, arp(asker, asked, 1));
    add(i * 5_000_000 + offset + 2_000, arp(asked, asker, 2));
  }
}
frames.sort((a, b) => a[0] - b[0]);

const header = Buffer.alloc(24);
header.writeUInt32LE(0xa1b2c3d4, 0);
header.writeUInt16LE(2, 4);
header.writeUInt16LE(4, 6);
header.writeUInt32LE(262144, 16);
header.writeUInt32LE(1, 20);
const records = frames.map(([time, frame]) => {
  const record = Buffer.alloc(16);
  record.writeUInt32LE(BEGIN + Math.floor(time / 1e6), 0);
  record.writeUInt32LE(time % 1e6, 4);
  record.writeUInt32LE(frame.length, 8);
  record.writeUInt32LE(frame.length, 12);
  return Buffer.concat([record, frame]);
});
writeFileSync(process.argv[2] ?? fileURLToPath(new URL("demo.pcap", import.meta.url)), Buffer.concat([header, ...records]));
