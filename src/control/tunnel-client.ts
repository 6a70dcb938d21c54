// A device's tunnels, for the command line: the calls of both services behind one list of tunnels.

import type { ChannelCredentials, ClientOptions, ClientReadableStream, ClientWritableStream, ServiceError } from "@grpc/grpc-js";
import { Metadata } from "@grpc/grpc-js";
import {
  type Sa,
  type SaPage,
  type TunnelOptions,
  TunnelsClient,
  type VxlanTunnelRequest,
  type VxlanTunnels,
} from "./gen/sluice_tunnel.js";
import {
  AddTunnelStatus,
  type CreateIpTunnelResponses,
  type IpTunnelRequest,
  type IpTunnelResponse,
  type IpTunnelResponses,
  IpTunnelServiceClient,
  type IpTunnelStatsResponse,
  type IpTunnelStatsResponses,
} from "./gen/tunneloffload.js";
import type { TunnelRequest } from "./tunnel-rule.js";

/** How SluiceClient reaches the device. */
export interface Connection {
  readonly target: string;
  readonly credential: ChannelCredentials;
  readonly options: ClientOptions;
  connected(): Promise<void>;
  deadline(): { deadline: number };
  explain(cause: ServiceError): Error;
  /** Undefined: NOT_FOUND. */
  found<T>(start: (done: Done<T>) => void): Promise<T | undefined>;
}

export type Done<T> = (error: ServiceError | null, value: T) => void;

export interface WantedTunnel {
  readonly request: TunnelRequest;
  /** Set when the tunnel is there; `tunnelId` is not looked at. */
  readonly options?: TunnelOptions | undefined;
}

/** What became of one of the tunnels that were sent. */
export interface TunnelResult {
  /** The assigned one where the request asked for that. */
  readonly id: bigint;
  /** What is wrong with it; undefined: carried out. */
  readonly sentence?: string | undefined;
}

/** Requests per stream: as many as the answer's bit mask names one by one. */
const BATCH = 64;
const PAGED = { tunnelsPerRequest: 1000 };

export class TunnelCalls {
  readonly #standard: IpTunnelServiceClient;
  readonly #own: TunnelsClient;

  constructor(private readonly connection: Connection) {
    const { target, credential, options } = connection;
    this.#standard = new IpTunnelServiceClient(target, credential, options);
    this.#own = new TunnelsClient(target, credential, options);
  }

  /** Creates, updates and deletes, in order. A result for each. */
  async send(wanted: readonly WantedTunnel[]): Promise<TunnelResult[]> {
    const results: TunnelResult[] = [];
    while (results.length < wanted.length) {
      const from = results.length;
      const own = isVxlan(wanted[from] as WantedTunnel);
      let to = from;
      while (to < wanted.length && to - from < BATCH && isVxlan(wanted[to] as WantedTunnel) === own) to++;
      const batch = wanted.slice(from, to);
      const answers = await this.#batch(batch, own);
      for (const [i, result] of answers.entries()) results.push(await this.#withOptions(result, batch[i]?.options));
    }
    return results;
  }

  /** Undefined when the device has no such tunnel; here and below. */
  async get(id: bigint): Promise<IpTunnelResponse | undefined> {
    const response = await this.connection.found<IpTunnelResponse>((done) =>
      this.#standard.getIpTunnel({ tunnelId: id }, new Metadata(), this.connection.deadline(), done),
    );
    return response?.ipTunnel === undefined ? undefined : response;
  }

  async stats(id: bigint): Promise<IpTunnelStatsResponse | undefined> {
    const response = await this.connection.found<IpTunnelStatsResponse>((done) =>
      this.#standard.getIpTunnelStats({ tunnelId: id }, new Metadata(), this.connection.deadline(), done),
    );
    return response?.tunnelCounters === undefined ? undefined : response;
  }

  /** In the words of sluice.v1; undefined also for tunnels that are not VXLAN. */
  vxlan(id: bigint): Promise<VxlanTunnelRequest | undefined> {
    return this.connection.found((done) =>
      this.#own.getVxlanTunnel({ tunnelId: id }, new Metadata(), this.connection.deadline(), done),
    );
  }

  options(id: bigint): Promise<TunnelOptions | undefined> {
    return this.connection.found((done) =>
      this.#own.getTunnelOptions({ tunnelId: id }, new Metadata(), this.connection.deadline(), done),
    );
  }

  setOptions(options: TunnelOptions): Promise<TunnelOptions | undefined> {
    return this.connection.found((done) => this.#own.setTunnelOptions(options, new Metadata(), this.connection.deadline(), done));
  }

  /** All tunnels in the order of creation, as they come; a reader may take its time. */
  pages(): AsyncGenerator<IpTunnelResponse[]> {
    return this.#pages<IpTunnelResponses, IpTunnelResponse>(
      () => this.#standard.getAllIpTunnels(PAGED, new Metadata()),
      ({ responses }) => responses,
    );
  }

  /** The same, with nothing but their counters. */
  statsPages(): AsyncGenerator<IpTunnelStatsResponse[]> {
    return this.#pages<IpTunnelStatsResponses, IpTunnelStatsResponse>(
      () => this.#standard.getAllIpTunnelsStats(PAGED, new Metadata()),
      ({ responses }) => responses,
    );
  }

  /** VXLAN tunnels in the words of sluice.v1. */
  vxlanPages(): AsyncGenerator<VxlanTunnelRequest[]> {
    return this.#pages<VxlanTunnels, VxlanTunnelRequest>(
      () => this.#own.getAllVxlanTunnels(PAGED, new Metadata()),
      ({ tunnels }) => tunnels,
    );
  }

  /** Of one tunnel, or with 0n of all. */
  sas(id: bigint): AsyncGenerator<Sa[]> {
    return this.#pages<SaPage, Sa>(
      () => this.#own.listSas({ tunnelId: id }, new Metadata()),
      ({ sas }) => sas,
    );
  }

  async *#pages<Page, Row>(open: () => ClientReadableStream<Page>, rows: (page: Page) => Row[]): AsyncGenerator<Row[]> {
    await this.connection.connected();
    const stream = open();
    try {
      for await (const page of stream) yield rows(page as Page);
    } catch (cause) {
      throw this.connection.explain(cause as ServiceError);
    } finally {
      stream.cancel();
    }
  }

  async #batch(batch: readonly WantedTunnel[], own: boolean): Promise<TunnelResult[]> {
    await this.connection.connected();
    const answer = await new Promise<CreateIpTunnelResponses>((resolve, reject) => {
      const done: Done<CreateIpTunnelResponses> = (error, value) =>
        error ? reject(this.connection.explain(error)) : resolve(value);
      const deadline = this.connection.deadline();
      if (own) {
        write(
          this.#own.createVxlanTunnel(new Metadata(), deadline, done),
          batch.map(({ request }) => request as VxlanTunnelRequest),
        );
      } else {
        write(
          this.#standard.createIpTunnel(new Metadata(), deadline, done),
          batch.map(({ request }) => request as IpTunnelRequest),
        );
      }
    });
    return batch.map(({ request }, i): TunnelResult => {
      const response = answer.responses[i];
      if (response === undefined) return { id: request.tunnelId, sentence: AddTunnelStatus[answer.requestStatus] };
      return { id: response.tunnelId, sentence: response.error?.errorString };
    });
  }

  async #withOptions(result: TunnelResult, options: TunnelOptions | undefined): Promise<TunnelResult> {
    if (options === undefined || result.sentence !== undefined) return result;
    try {
      await this.setOptions({ ...options, tunnelId: result.id });
      return result;
    } catch (cause) {
      return { id: result.id, sentence: `the tunnel is there, its options are not: ${(cause as Error).message}` };
    }
  }
}

function isVxlan({ request }: WantedTunnel): boolean {
  return request.tunnel?.$case === "vxlanEncap" || request.tunnel?.$case === "vxlanDecap";
}

function write<Request>(call: ClientWritableStream<Request>, requests: readonly Request[]): void {
  for (const request of requests) call.write(request);
  call.end();
}
