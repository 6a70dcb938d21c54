// What a user may write in sluice.yaml, as a schema and as a type. Nothing is filled in here: fill.ts does that.
// The text on each leaf is what a value there is expected to be; problems.ts makes the sentence around it.

import { z } from "zod";
import { parseAddress, parseMac, parsePrefix } from "./address.js";

const integer = (from: number, to: number) => {
  const error = `a whole number from ${from.toLocaleString("en")} to ${to.toLocaleString("en")}`;
  return z.int({ error }).min(from, { error }).max(to, { error });
};
const oneOf = <const T extends readonly string[]>(...words: T) => z.enum(words, { error: `one of ${words.join(", ")}` });
const text = (what: string) => z.string({ error: what }).min(1, { error: what });
/** Text that stands for bytes. */
const parsed = <T>(what: string, parse: (text: string) => T | undefined) =>
  z.string({ error: what }).transform((value, context) => {
    const found = parse(value);
    if (found !== undefined) return found;
    context.issues.push({ code: "custom", message: what, input: value });
    return z.NEVER;
  });
const flag = () => z.boolean({ error: "true or false" });

/** Unknown keys are errors. */
const map = <T extends z.core.$ZodLooseShape>(shape: T) => {
  const keys = Object.keys(shape).join(", ");
  return z.strictObject(shape, {
    error: ({ code }) => (code === "unrecognized_keys" ? `one of ${keys}` : `a map of ${keys}`),
  });
};

const MIB = 1 << 20;
/** The least is what every host can receive (RFC 791 section 3.1). */
const mtu = { mtu: integer(576, 65_535).optional() };

const afPacket = {
  driver: z.literal("af_packet"),
  ...mtu,
  interface: z.string({ error: "the name of a network interface" }).regex(/^[^\s/:]{1,15}$/, {
    error: "the name of a network interface (1 to 15 characters)",
  }),
  force: flag().optional(),
  rxFrames: integer(64, 65_536).optional(),
  rxFrameSize: integer(256, 65_536).multipleOf(16, { error: "a multiple of 16" }).optional(),
  rxQueueBytes: integer(65_536, 512 * MIB).optional(),
};
const file = {
  driver: z.literal("file"),
  ...mtu,
  in: text("the path of a pcap or pcapng file").optional(),
  out: text("the path of the pcap file to write").optional(),
  loop: flag().optional(),
  realtime: flag().optional(),
  filter: text("a libpcap filter expression").optional(),
};
const memory = { driver: z.literal("memory"), ...mtu };

const drivers = {
  error: ({ code }: { code: string }) =>
    code === "invalid_union" ? "one of af_packet, file, memory" : "a map of a port's settings",
};

const hostPort = z.discriminatedUnion("driver", [map(afPacket), map(file), map(memory)], drivers);

const place = {
  lif: integer(1, 65_535).optional(),
  name: z
    .string({ error: "a name" })
    .regex(/^[A-Za-z_][A-Za-z0-9_-]{0,31}$/, {
      error: "a name of up to 32 letters, digits, _ and -, starting with a letter",
    })
    .optional(),
  host: hostPort.optional(),
};

const port = z.discriminatedUnion(
  "driver",
  [map({ ...place, ...afPacket }), map({ ...place, ...file }), map({ ...place, ...memory })],
  drivers,
);

/** What a session record has room for is four times as many. */
const NEXT_HOPS = 4096;

const nextHop = map({
  ip: parsed("an IPv4 or IPv6 address", parseAddress),
  port: z
    .union([text("the name of a port"), z.int().transform(String)], { error: "the name of a port, as in collector, 2 or host1" })
    .optional(),
  mac: parsed("a MAC address such as 02:00:00:00:00:09", parseMac).optional(),
  tunnel: integer(1, Number.MAX_SAFE_INTEGER).optional(),
});

const route = map({
  to: parsed("an address and prefix length such as 192.0.2.0/24 or 2001:db8::/32", parsePrefix),
  port: z.union([text("the name of a port"), z.int().transform(String)], { error: "the name of a port, as in 2 or host1" }),
  sourceMac: parsed("a MAC address such as 02:00:00:00:00:09", parseMac),
  destinationMac: parsed("a MAC address such as 02:00:00:00:00:09", parseMac),
});

/** What tunnels of one kind begin with. */
const encapsulation = map({
  udpPort: integer(1, 65_535).optional(),
  udpChecksum: oneOf("default", "full", "zero").optional(),
});

const WINDOW = { error: "a whole number of packets from 64 to 8,192, or 0 to look for no replays" };

const ipsec = map({
  aead: oneOf("auto", "node", "openssl", "ipsec-mb").optional(),
  capacity: integer(1, MIB).optional(),
  esn: flag().optional(),
  replayWindow: z.union([z.literal(0, WINDOW), z.int(WINDOW).min(64, WINDOW).max(8192, WINDOW)], WINDOW).optional(),
  nattPort: integer(1, 65_535).optional(),
  nattSourcePort: integer(1, 65_535).optional(),
  auditRate: integer(0, 10_000).optional(),
  ivState: text("the path of a file").optional(),
});

const DSCP = { error: "copy, or a whole number from 0 to 63" };
const dscp = z.union([z.literal("copy", DSCP), z.int(DSCP).min(0, DSCP).max(63, DSCP)], DSCP);

export const optionsSchema = map({
  ports: z.array(port, { error: "a list of ports" }).max(256, { error: "at most 256 ports" }).optional(),
  nextHops: z
    .array(nextHop, { error: "a list of next hops" })
    .max(NEXT_HOPS, { error: `at most ${NEXT_HOPS} next hops` })
    .optional(),
  routes: z.array(route, { error: "a list of routes" }).max(65_536, { error: "at most 65,536 routes" }).optional(),
  tunnels: map({ capacity: integer(1, MIB).optional(), failClosed: integer(0, 86_400).optional() }).optional(),
  geneve: encapsulation.optional(),
  vxlan: encapsulation.optional(),
  ipsec: ipsec.optional(),
  outer: map({
    df: oneOf("copy", "set", "clear").optional(),
    ttl: integer(1, 255).optional(),
    dscp: dscp.optional(),
    ecn: oneOf("normal", "compatibility").optional(),
  }).optional(),
  innerVlan: oneOf("move", "keep").optional(),
  grpc: map({
    listen: text("an address as host:port").optional(),
    cert: text("the path of a certificate in PEM form").optional(),
    key: text("the path of a private key in PEM form").optional(),
    clientCa: text("the path of certificates in PEM form").optional(),
    insecure: flag().optional(),
    maxMessageBytes: integer(4_096, 64 * MIB).optional(),
    maxStreams: integer(1, 65_535).optional(),
    maxConnections: integer(1, 65_535).optional(),
    keepaliveInterval: integer(1, 86_400).optional(),
    keepaliveTimeout: integer(1, 3_600).optional(),
  }).optional(),
  api: map({
    ipv4Order: oneOf("s_addr", "host").optional(),
    missingSession: oneOf("response", "status").optional(),
    revealKeys: flag().optional(),
  }).optional(),
  workers: integer(1, 64).optional(),
  pin: z.array(integer(0, 1023), { error: "a list of processor numbers" }).max(64, { error: "at most 64 processors" }).optional(),
  maxFrame: z.int({ error: "a whole number of bytes" }).optional(),
  sessions: map({
    capacity: integer(1, 8 * MIB).optional(),
    defaultTimeout: integer(1, 0xffff_ffff).optional(),
    duplicateFlow: oneOf("reject", "shadow").optional(),
    tcpClose: oneOf("application", "device").optional(),
    closedBacklog: integer(1, 8 * MIB).optional(),
  }).optional(),
  log: map({
    level: oneOf("debug", "info", "warn", "error").optional(),
  }).optional(),
  reassembly: map({
    memory: integer(65_536, 1024 * MIB).optional(),
    timeout: integer(15, 60).optional(),
    perSource: integer(1, MIB).optional(),
  }).optional(),
  mtu: map({ onExceed: oneOf("icmp", "drop").optional(), icmpRate: integer(1, 1_000_000).optional() }).optional(),
});

export type Options = z.infer<typeof optionsSchema>;
export type PortOptions = NonNullable<Options["ports"]>[number];
export type HostOptions = NonNullable<PortOptions["host"]>;

/**
 * Settings that a later version brings, as they stand in the specification; indices of lists are left out of the path.
 * They are refused by name, so that nobody takes a configuration for served that is not.
 */
export const LATER: ReadonlySet<string> = new Set(["nat"]);

export const LATER_DRIVERS: ReadonlySet<string> = new Set(["auto", "af_xdp", "pcap"]);
