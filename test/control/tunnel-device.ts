// A device without a data path that serves tunnels, listening on a free port, and what tests send to it.

import { randomBytes } from "node:crypto";
import { type ClientWritableStream, credentials, type ServiceError } from "@grpc/grpc-js";
import { pino } from "pino";
import type { Test } from "tap";
import { DEFAULTS } from "../../src/config/defaults.js";
import { TunnelsClient, type VxlanTunnelRequest } from "../../src/control/gen/sluice_tunnel.js";
import {
  type CreateIpTunnelResponses,
  type IpTunnelRequest,
  type IpTunnelResponse,
  IpTunnelServiceClient,
  type MatchCriteria,
} from "../../src/control/gen/tunneloffload.js";
import { startServer } from "../../src/control/server.js";
import type { Ipv4Order } from "../../src/control/translate.js";
import type { TunnelNames } from "../../src/control/tunnel-rule.js";
import { tunnelService } from "../../src/control/tunnel-service.js";
import { TunnelWriter } from "../../src/control/tunnel-writer.js";
import { vxlanService } from "../../src/control/vxlan-service.js";
import { Grace } from "../../src/memory/grace.js";
import { Word, wordOf, wordsSize } from "../../src/memory/worker-words.js";
import { hashKey } from "../../src/table/flow.js";
import { Routes } from "../../src/table/route.js";
import type { TunnelSettings } from "../../src/table/rule.js";
import { allocateRules, type RuleMemory } from "../../src/table/rule-memory.js";
import { RuleTable } from "../../src/table/rule-table.js";
import { allocateSas, type SaMemory } from "../../src/table/sa-memory.js";
import { SaTable } from "../../src/table/sa-table.js";
import { compile } from "../../src/tunnel/compile.js";

const SAS = 1000;

export interface TunnelDevice {
  readonly target: string;
  readonly rules: RuleTable;
  readonly sas: SaTable;
  readonly saMemory: SaMemory;
  readonly writer: TunnelWriter;
  readonly memory: RuleMemory;
  readonly client: IpTunnelServiceClient;
  readonly vxlan: TunnelsClient;
  readonly log: string[];
  ready: boolean;
  /** As a worker that is inside a burst, or no longer. */
  busy(inside: boolean): void;
  stop(): Promise<void>;
}

export interface TunnelDeviceOptions {
  readonly capacity?: number;
  readonly missing?: "response" | "status";
  readonly ipv4Order?: Ipv4Order;
  readonly settings?: Partial<TunnelSettings>;
  readonly revealKeys?: boolean;
  /** SAs that there may be. */
  readonly sas?: number;
}

export function namesOf(
  { ipv4Order = "s_addr", settings = {}, revealKeys = false }: TunnelDeviceOptions,
  sas = newSas(allocateSas(1, 1)),
): TunnelNames {
  const all = { ...DEFAULTS.tunnel, ...settings };
  return {
    ipv4Order,
    ports: new Map([
      ["1", 0],
      ["host1", 1],
      ["2", 2],
      ["host2", 3],
      ["eth0.7", 2],
    ]),
    portNames: ["1", "host1", "2", "host2"],
    geneve: all,
    vxlan: all,
    ipsec: all,
    sas,
    revealKeys,
  };
}

function newSas(memory: SaMemory): SaTable {
  return new SaTable(memory, { random: randomBytes, fingerprint: (key) => Buffer.from(key).toString("hex") });
}

/** One that stops with the test. */
export async function device(t: Test, options?: TunnelDeviceOptions): Promise<TunnelDevice> {
  const started = await startTunnelDevice(options);
  t.teardown(() => started.stop());
  return started;
}

export async function startTunnelDevice(options: TunnelDeviceOptions = {}): Promise<TunnelDevice> {
  const memory = allocateRules(options.capacity ?? 1000, 1, hashKey(new Uint8Array(12).fill(5)), options.sas ?? SAS);
  const words = new Int32Array(new SharedArrayBuffer(wordsSize(1)));
  const routes = new Routes([]);
  const saMemory = allocateSas(options.sas ?? SAS, 1);
  const sas = newSas(saMemory);
  const rules = new RuleTable(memory, new Grace(words, 1), {
    compile: (rule, record) => compile(rule, record, routes),
    failClosed: 60_000,
    sas,
  });
  const names = namesOf(options, sas);
  const lines: string[] = [];
  const log = pino({ base: null }, { write: (line) => void lines.push(line) });
  const state = { ready: true };
  const writer = new TunnelWriter({ rules, names, ready: () => state.ready, now: Date.now, log });
  const service = { rules, writer, names, missing: options.missing ?? "response", log } as const;
  const server = await startServer({ listen: "127.0.0.1:0" }, [tunnelService(service), vxlanService(service)]);
  const target = `127.0.0.1:${server.port}`;
  const client = new IpTunnelServiceClient(target, credentials.createInsecure());
  const vxlan = new TunnelsClient(target, credentials.createInsecure());
  return {
    target,
    rules,
    sas,
    saMemory,
    writer,
    memory,
    client,
    vxlan,
    log: lines,
    get ready() {
      return state.ready;
    },
    set ready(ready) {
      state.ready = ready;
    },
    busy(inside) {
      Atomics.store(words, wordOf(0, Word.burst), inside ? 1 : 2);
    },
    async stop() {
      client.close();
      vxlan.close();
      await server.stop(500);
    },
  };
}

/** 10.0.0.1 → 0x0100000a, as an s_addr. */
export function s_addr(text: string): number {
  const [a, b, c, d] = text.split(".").map(Number) as [number, number, number, number];
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}

export function criteria(changes: Partial<MatchCriteria> = {}): MatchCriteria {
  return { ingressInterface: "", macMatch: undefined, ipMatch: undefined, tunnelId: 0n, match: undefined, ...changes };
}

export const NO_MACS = { destinationMac: Buffer.alloc(0), sourceMac: Buffer.alloc(0) };

type GeneveEncap = Extract<
  NonNullable<Extract<IpTunnelRequest["tunnel"], { $case: "geneve" }>["value"]["encapDecap"]>,
  { $case: "geneveEncap" }
>["value"];

export function geneveEncap(changes: Partial<GeneveEncap> = {}): IpTunnelRequest["tunnel"] {
  const value: GeneveEncap = {
    ip: { $case: "outerIpv4Pair", value: { sourceIp: s_addr("192.0.2.1"), destinationIp: s_addr("192.0.2.2") } },
    innerMacPair: undefined,
    optionLength: 0,
    controlPacket: false,
    criticalOptionPresent: false,
    vni: 100,
    protocolType: 0,
    geneveOption: [],
    ...changes,
  };
  return { $case: "geneve", value: { encapDecap: { $case: "geneveEncap", value } } };
}

export const geneveDecap: IpTunnelRequest["tunnel"] = {
  $case: "geneve",
  value: { encapDecap: { $case: "geneveDecap", value: {} } },
};

/** A Geneve encapsulation of untagged IPv4 packets to 10.x.y.z, x.y.z being the id. */
export function tunnel(id: number | bigint, changes: Partial<IpTunnelRequest> = {}): IpTunnelRequest {
  const n = Number(id);
  const destinationIp = s_addr(`10.${(n >> 16) & 0xff}.${(n >> 8) & 0xff}.${n & 0xff}`);
  const value = { sourceIp: 0, sourceIpPrefix: 0, destinationIp, destinationIpPrefix: 0 };
  return {
    tunnelId: BigInt(id),
    operation: 1,
    matchCriteria: criteria({ ipMatch: { $case: "ipv4Match", value } }),
    nextAction: 1,
    tunnel: geneveEncap(),
    ...changes,
  };
}

/** Operation on a tunnel that exists. */
export function change(id: number | bigint, operation: number, changes: Partial<IpTunnelRequest> = {}): IpTunnelRequest {
  return { tunnelId: BigInt(id), operation, matchCriteria: undefined, nextAction: 0, tunnel: undefined, ...changes };
}

type Done = (error: ServiceError | null, value: CreateIpTunnelResponses) => void;

export function create(
  client: Pick<IpTunnelServiceClient, "createIpTunnel">,
  requests: Iterable<IpTunnelRequest>,
): Promise<CreateIpTunnelResponses> {
  return stream((done) => client.createIpTunnel(done), requests);
}

export function createVxlan(client: TunnelsClient, requests: Iterable<VxlanTunnelRequest>): Promise<CreateIpTunnelResponses> {
  return stream((done) => client.createVxlanTunnel(done), requests);
}

function stream<Request>(
  open: (done: Done) => ClientWritableStream<Request>,
  requests: Iterable<Request>,
): Promise<CreateIpTunnelResponses> {
  return new Promise((resolve, reject) => {
    const call = open((error, answer) => (error ? reject(error) : resolve(answer)));
    for (const request of requests) call.write(request);
    call.end();
  });
}

export function getTunnel(client: IpTunnelServiceClient, id: number | bigint): Promise<IpTunnelResponse> {
  return new Promise((resolve, reject) => {
    client.getIpTunnel({ tunnelId: BigInt(id) }, (error, value) => (error ? reject(error) : resolve(value)));
  });
}
