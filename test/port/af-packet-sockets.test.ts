import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { PortCounter } from "../../src/memory/counters.js";
import { native } from "../../src/native.js";
import { Fate } from "../../src/reason.js";
import { ip, Rig, ROOT } from "./af-packet-rig.js";
import { noNamespace } from "./namespace.js";
import { verify } from "./verify.js";

const skip = noNamespace;

/** A network namespace with a stack of its own and one interface, eth0, whose other end is `port` in ours. */
class Host {
  readonly #holder: ChildProcess;

  constructor(readonly port: string) {
    this.#holder = spawn("unshare", ["--net", "sh", "-c", "echo; exec sleep 300"], { stdio: ["ignore", "pipe", "inherit"] });
    // The new namespace stands once sh speaks; this blocks for a moment, which a test may.
    const mine = () => execFileSync("readlink", [`/proc/${this.#holder.pid}/ns/net`]).toString();
    const ours = execFileSync("readlink", ["/proc/self/ns/net"]).toString();
    for (let i = 0; i < 500 && mine() === ours; i++) spawnSync("sleep", ["0.01"]);
    ip(`link add ${port} type veth peer name slpeth netns ${this.#holder.pid}`);
    this.ip("link set slpeth name eth0");
    this.ip("link set lo up");
    this.ip("link set eth0 up");
    ip(`link set ${port} arp off up`);
  }

  ip(command: string): void {
    execFileSync("nsenter", ["-t", String(this.#holder.pid), "-n", "ip", ...command.split(" ")], { stdio: "pipe" });
  }

  /** Starts sockets.py here; `ready` once it says so, `result` with its last line. */
  sockets(what: string, address: string, bytes: number): { ready: Promise<void>; result: Promise<string> } {
    const args = [
      "-t",
      String(this.#holder.pid),
      "-n",
      "/usr/bin/python3",
      `${ROOT}test/port/sockets.py`,
      what,
      address,
      String(bytes),
    ];
    const child = spawn("nsenter", args, { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    let onReady = () => {};
    const ready = new Promise<void>((resolve) => {
      onReady = resolve;
    });
    child.stdout.on("data", (data) => {
      output += data;
      if (output.startsWith("ready")) onReady();
    });
    const result = new Promise<string>((resolve) => child.once("close", () => resolve(output.trim().split("\n").pop() ?? "")));
    return { ready, result };
  }

  remove(): void {
    ip(`link del ${this.port}`);
    this.#holder.kill("SIGKILL");
  }
}

/** Forwards between two ports and looks at each frame on the way. */
class Wire {
  readonly rigs = [new Rig("slpa"), new Rig("slpb")];
  readonly kept: Uint8Array[] = [];
  readonly wrong: string[] = [];
  handed = 0;
  longest = 0;
  /** Bytes of the largest frame before it was segmented. */
  merged = 0;
  #stop = false;
  readonly #done: Promise<void>;

  constructor() {
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    const fds = Int32Array.from(this.rigs, (rig) => rig.port.fd);
    while (!this.#stop) {
      let n = 0;
      for (const [i, rig] of this.rigs.entries()) {
        const before = rig.count(PortCounter.rxBytes);
        const taken = rig.count(PortCounter.rxFrames);
        const frames = rig.rx();
        if (rig.count(PortCounter.rxFrames) === taken + 1) {
          this.merged = Math.max(this.merged, rig.count(PortCounter.rxBytes) - before);
        }
        if (frames.length === 0) continue;
        n += frames.length;
        this.handed += frames.length;
        for (const one of frames) this.#look(one);
        // The frames lie in this rig's memory: the other one's port sends from its own.
        this.rigs[1 - i].tx(frames);
      }
      if (n === 0) native.poll(fds, 2, 2);
      await setImmediate();
    }
  }

  #look(frame: Uint8Array): void {
    this.longest = Math.max(this.longest, frame.length);
    if (this.kept.length < 3000) this.kept.push(frame);
    try {
      verify(frame);
    } catch (error) {
      const { message } = error as Error;
      if (!/^(protocol|not IP)/.test(message))
        this.wrong.push(`${message}: ${Buffer.from(frame.subarray(0, 120)).toString("hex")}`);
    }
  }

  total(counter: PortCounter): number {
    return this.rigs[0].count(counter) + this.rigs[1].count(counter);
  }

  async stop(): Promise<void> {
    this.#stop = true;
    await this.#done;
    for (const rig of this.rigs) rig.port.close();
  }
}

/** Frames whose checksums or lengths tshark does not like. */
function disliked(frames: readonly Uint8Array[]): string {
  if (!existsSync("/usr/bin/tshark")) return "";
  const folder = mkdtempSync(join(tmpdir(), "slp-"));
  const file = join(folder, "sent.pcap");
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65_535, 16);
  header.writeUInt32LE(1, 20);
  const records = frames.map((frame) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    return Buffer.concat([record, frame]);
  });
  writeFileSync(file, Buffer.concat([header, ...records]));
  const checks = ["ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"].flatMap((one) => ["-o", `${one}:TRUE`]);
  const bad = "ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 || _ws.malformed";
  const { stdout, stderr, status } = spawnSync("tshark", ["-r", file, ...checks, "-Y", bad], { maxBuffer: 1 << 26 });
  rmSync(folder, { recursive: true });
  return status === 0 ? stdout.toString().slice(0, 2000) : stderr.toString();
}

function pair(): { a: Host; b: Host } {
  const a = new Host("slpa");
  const b = new Host("slpb");
  for (const [host, i] of [
    [a, 1],
    [b, 2],
  ] as const) {
    host.ip(`addr add 10.0.0.${i}/24 dev eth0`);
    host.ip(`addr add fd00::${i}/64 dev eth0 nodad`);
  }
  return { a, b };
}

async function transfer(from: Host, to: Host, kind: string, address: string, bytes: number): Promise<[string, string]> {
  const receiver = to.sockets(`${kind}-recv`, address, bytes);
  await receiver.ready;
  const sender = from.sockets(`${kind}-send`, address, bytes);
  return [await sender.result, await receiver.result];
}

for (const kind of ["default", "all"]) {
  if (!skip) writeFileSync(`/proc/sys/net/ipv6/conf/${kind}/disable_ipv6`, "1");
}

t.test("merged frames of real sockets pass as wire-sized frames with right checksums", { skip }, async (t) => {
  const { a, b } = pair();
  const wire = new Wire();
  for (const [kind, address, bytes] of [
    ["tcp", "10.0.0.2", 4_000_000],
    ["tcp", "fd00::2", 4_000_000],
    ["udp", "10.0.0.2", 960_000],
    ["udp", "fd00::2", 960_000],
  ] as const) {
    const created = wire.total(PortCounter.created);
    const [sent, received] = await transfer(a, b, kind, address, bytes);
    t.match(sent, /^[0-9a-f]{64}$/);
    t.equal(received, sent, `${kind} to ${address}: payload intact`);
    const more = wire.total(PortCounter.created) - created;
    t.ok(more > bytes / 4000, `${more} segments beyond the first of their frames`);
    t.equal(disliked(wire.kept.splice(0)), "", "tshark finds nothing wrong");
  }
  t.equal(wire.longest, 1514);
  t.strictSame(wire.wrong.slice(0, 3), []);
  await wire.stop();
  t.equal(wire.rigs[0].balance(0) + wire.rigs[1].balance(0) - wire.handed, 0, "each frame is accounted for");
  for (const rig of wire.rigs) t.equal(rig.counters.fates[Fate.unknownGso] + rig.counters.fates[Fate.malformedGso], 0);
  a.remove();
  b.remove();
});

t.test("so do those inside tunnels", { skip }, async (t) => {
  const { a, b } = pair();
  const wire = new Wire();
  const tunnels = [
    ["vxlan id 5 dstport 4789", "10.0.0."],
    ["vxlan id 5 dstport 8472 udpcsum", "10.0.0."],
    ["vxlan id 5 dstport 4789", "fd00::"],
    ["geneve id 5", "10.0.0."],
    ["geneve id 5", "fd00::"],
    ["ipip", "10.0.0."],
  ];
  for (const [tunnel, net] of tunnels) {
    const [type, ...rest] = tunnel.split(" ");
    const ends = [
      [a, 1, 2],
      [b, 2, 1],
    ] as const;
    let missing = "";
    for (const [host, own, other] of ends) {
      const local = type === "geneve" ? "" : ` local ${net}${own}`;
      try {
        host.ip(`link add slpt type ${type}${local} remote ${net}${other}${rest.map((one) => ` ${one}`).join("")}`);
      } catch (error) {
        missing = `no ${type} here: ${(error as Error).message.trim()}`;
        break;
      }
      host.ip(`addr add 10.9.0.${own}/24 dev slpt`);
      if (type !== "ipip") host.ip(`addr add fd09::${own}/64 dev slpt nodad`);
      host.ip("link set slpt mtu 1400 up"); // or the outer packets leave as fragments
    }
    if (missing !== "") {
      t.comment(missing);
      continue;
    }
    for (const inner of type === "ipip" ? ["10.9.0.2"] : ["10.9.0.2", "fd09::2"]) {
      const created = wire.total(PortCounter.created);
      const [sent, received] = await transfer(a, b, "tcp", inner, 1_500_000);
      t.equal(received, sent, `${inner} in ${tunnel} over ${net}x: payload intact`);
      const more = wire.total(PortCounter.created) - created;
      t.ok(more > 300, `${more} segments beyond the first of their frames`);
      t.equal(disliked(wire.kept.splice(0)), "", "tshark finds nothing wrong");
    }
    for (const [host] of ends) host.ip("link del slpt");
    await sleep(10);
  }
  t.equal(wire.longest, 1484);
  t.strictSame(wire.wrong.slice(0, 3), []);
  await wire.stop();
  for (const rig of wire.rigs) t.equal(rig.counters.fates[Fate.unknownGso] + rig.counters.fates[Fate.malformedGso], 0);
  a.remove();
  b.remove();
});

t.test("BIG TCP: merged frames beyond 64 KB", { skip }, async (t) => {
  const { a, b } = pair();
  a.ip("link set eth0 gso_max_size 180000"); // of IPv6 alone: Debian 12's ip cannot set it for IPv4;
  const wire = new Wire();
  const [sent, received] = await transfer(a, b, "tcp", "fd00::2", 8_000_000);
  t.equal(received, sent, "payload intact");
  t.equal(disliked(wire.kept.splice(0)), "", "tshark finds nothing wrong");
  const mean = (wire.total(PortCounter.created) + wire.total(PortCounter.rxFrames)) / wire.total(PortCounter.rxFrames);
  t.comment(`${mean.toFixed(1)} segments per frame; longest ${wire.merged} bytes`);
  t.ok(wire.merged > 65_600, "some were beyond 64 KB");
  t.equal(wire.longest, 1514);
  t.strictSame(wire.wrong.slice(0, 3), []);
  await wire.stop();
  a.remove();
  b.remove();
});
