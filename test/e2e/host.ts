// A host's sockets, driven from the test's process (remote.ts): TCP streams whose bytes are hashed on both sides, and UDP
// datagrams that are numbered.

import { createHash, randomBytes } from "node:crypto";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "./remote.js";

const BLOCK = randomBytes(1 << 16);
const CONNECT_MS = 5000;

interface Stream {
  readonly socket: Socket;
  received: number;
  hash: ReturnType<typeof createHash>;
  ended: "fin" | "reset" | undefined;
}

interface Datagrams {
  readonly socket: UdpSocket;
  readonly seen: Set<number>;
  packets: number;
  bytes: number;
  sent: number;
  /** Milliseconds since the epoch: of the last datagram, and the longest silence between two. */
  last: number;
  gap: number;
  running: boolean;
}

const servers: Server[] = [];
const streams: Stream[] = [];
const sockets: Datagrams[] = [];

function keep(socket: Socket): number {
  const stream: Stream = { socket, received: 0, hash: createHash("sha256"), ended: undefined };
  socket.setNoDelay(true);
  socket.on("data", (data) => {
    stream.received += data.length;
    stream.hash.update(data);
  });
  socket.on("end", () => {
    stream.ended ??= "fin";
  });
  socket.on("error", () => {
    stream.ended ??= "reset";
  });
  return streams.push(stream) - 1;
}

async function until(condition: () => boolean, milliseconds: number): Promise<boolean> {
  const end = Date.now() + milliseconds;
  while (!condition() && Date.now() < end) await sleep(2);
  return condition();
}

const host = {
  /** A server whose connections stay open in their direction when the peer has ended its own. Streams count up as they come. */
  async listen(address: string, port: number): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (socket) => void keep(socket)).listen(port, address);
    servers.push(server);
    await once(server, "listening");
  },

  /** @returns the stream's number */
  async connect(address: string, port: number, localPort: number): Promise<number> {
    const socket = connect({ host: address, port, localPort, allowHalfOpen: true });
    await once(socket, "connect", { signal: AbortSignal.timeout(CONNECT_MS) });
    return keep(socket);
  },

  /** Number of the stream that came from this port. */
  async accepted(port: number): Promise<number> {
    const find = () => streams.findIndex(({ socket }) => socket.remotePort === port);
    if (!(await until(() => find() >= 0, CONNECT_MS))) throw new Error(`no connection from port ${port}`);
    return find();
  },

  /** @returns the SHA-256 of what was sent */
  async send(number: number, bytes: number): Promise<string> {
    const { socket } = streams[number];
    const hash = createHash("sha256");
    for (let left = bytes, n = 0; left > 0; n++) {
      const block = Buffer.from(BLOCK.subarray(0, Math.min(left, BLOCK.length)));
      block[0] = n;
      left -= block.length;
      hash.update(block);
      if (!socket.write(block)) await once(socket, "drain");
    }
    return hash.digest("hex");
  },

  /** Waits for this many bytes since the last call. @returns their SHA-256 */
  async receive(number: number, bytes: number, milliseconds = 30_000): Promise<string> {
    const stream = streams[number];
    if (!(await until(() => stream.received >= bytes, milliseconds))) {
      throw new Error(`${stream.received} of ${bytes} bytes came within ${milliseconds / 1000} s`);
    }
    const digest = stream.hash.digest("hex");
    if (stream.received > bytes) throw new Error(`${stream.received} bytes came instead of ${bytes}`);
    stream.received = 0;
    stream.hash = createHash("sha256");
    return digest;
  },

  /** FIN. */
  end(number: number): void {
    streams[number].socket.end();
  },

  /** RST. */
  reset(number: number): void {
    streams[number].socket.resetAndDestroy();
  },

  /** How the peer ended its direction. */
  async ended(number: number): Promise<"fin" | "reset" | undefined> {
    await until(() => streams[number].ended !== undefined, 5000);
    return streams[number].ended;
  },

  async bind(address: string, port: number): Promise<number> {
    const socket = createSocket({ type: address.includes(":") ? "udp6" : "udp4", recvBufferSize: 4 << 20 });
    const one: Datagrams = { socket, seen: new Set(), packets: 0, bytes: 0, sent: 0, last: 0, gap: 0, running: false };
    socket.on("message", (message) => {
      const now = Date.now();
      if (one.last > 0) one.gap = Math.max(one.gap, now - one.last);
      one.last = now;
      one.packets++;
      one.bytes += message.length;
      one.seen.add(message.readUInt32BE(0));
    });
    socket.on("error", () => {});
    socket.bind(port, address);
    await once(socket, "listening");
    return sockets.push(one) - 1;
  },

  /** Sends numbered datagrams at a rate. */
  async datagrams(number: number, to: string, port: number, count: number, bytes: number, perSecond = 5000): Promise<void> {
    const one = sockets[number];
    const begin = performance.now();
    for (let i = 0; i < count; i++) {
      const message = Buffer.alloc(bytes, i);
      message.writeUInt32BE(one.sent++, 0);
      await new Promise((resolve) => one.socket.send(message, port, to, resolve));
      const early = (i * 1000) / perSecond - (performance.now() - begin);
      if (early > 1) await sleep(early);
    }
  },

  /** Sends datagrams until stopped. */
  start(number: number, to: string, port: number, bytes: number, perSecond: number): void {
    const one = sockets[number];
    one.running = true;
    const go = async () => {
      while (one.running) await host.datagrams(number, to, port, Math.ceil(perSecond / 50), bytes, perSecond);
    };
    void go();
  },

  stop(number: number): number {
    sockets[number].running = false;
    return sockets[number].sent;
  },

  /** What came since the last call, once it is this much or the time is over. */
  async received(number: number, packets: number, milliseconds = 5000) {
    const one = sockets[number];
    await until(() => one.packets >= packets, milliseconds);
    const { bytes, seen, last, gap } = one;
    const got = { packets: one.packets, bytes, distinct: seen.size, last, gap };
    Object.assign(one, { packets: 0, bytes: 0, gap: 0 });
    seen.clear();
    return got;
  },
};

export type Host = typeof host;

serve(host);
