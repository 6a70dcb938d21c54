// A gRPC client in the device's namespace, driven from the test's process (remote.ts).

import { credentials, Metadata } from "@grpc/grpc-js";
import { type AddError, SluiceClient } from "../../src/control/client.js";
import { type SessionResponse, SessionTableClient } from "../../src/control/gen/openoffload.js";
import { type Sa, TunnelsClient } from "../../src/control/gen/sluice_tunnel.js";
import { parseProgram } from "../../src/control/program.js";
import type { WantedTunnel } from "../../src/control/tunnel-client.js";
import { serve } from "./remote.js";

const TARGET = "127.0.0.1:3443";

const client = new SluiceClient(TARGET);
const own = new TunnelsClient(TARGET, credentials.createInsecure(), { "grpc.enable_http_proxy": 0 });
const followed: { readonly session: SessionResponse; readonly at: number }[] = [];

const control = {
  /** Sessions as a program file has them. */
  add(sessions: string): Promise<AddError[]> {
    const { sessions: list } = parseProgram(sessions, "e2e", "s_addr");
    return client.addSessions(list.map(({ request }) => request));
  },
  /** What GetIpTunnelStats counts. */
  tunnel: async (id: bigint) => (await client.tunnels.stats(id))?.tunnelCounters,
  /** Carries requests out, in order. @returns what is wrong with those that were not */
  async tunnels(requests: readonly WantedTunnel["request"][], options?: WantedTunnel["options"]): Promise<string[]> {
    const results = await client.tunnels.send(requests.map((request) => ({ request, options })));
    return results.flatMap(({ id, sentence }) => (sentence === undefined ? [] : [`${id}: ${sentence}`]));
  },
  /** The SAs of a tunnel. */
  async sas(tunnelId: bigint): Promise<Sa[]> {
    const list: Sa[] = [];
    for await (const page of own.listSas({ tunnelId })) list.push(...(page as { sas: Sa[] }).sas);
    return list;
  },
  get: (id: bigint) => client.getSession(id),
  delete: (id: bigint) => client.deleteSession(id),
  stats: () => client.stats(),
  list: () => all(client.sessions()),
  closed: () => all(client.closedSessions()),

  /** Waits for a device: after one has gone, the channel tries anew from time to time only. */
  async ready(): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        await client.stats();
        return;
      } catch (error) {
        if (tries === 100) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  },

  /** Follows what closes, with the time of arrival. */
  follow(): void {
    const read = async () => {
      for await (const session of client.closedSessions(true)) followed.push({ session, at: Date.now() });
    };
    read().catch(() => {});
  },
  followed: () => followed.splice(0),

  /** A call that the client never ends. Resolves when it is surely there. */
  async hang(): Promise<void> {
    const sessions = new SessionTableClient(TARGET, credentials.createInsecure(), { "grpc.enable_http_proxy": 0 });
    const call = sessions.addSession(new Metadata(), () => {});
    call.on("error", () => {});
    await client.stats();
    await new Promise((resolve) => setTimeout(resolve, 200));
  },
};

async function all(sessions: AsyncIterable<SessionResponse>): Promise<SessionResponse[]> {
  const list: SessionResponse[] = [];
  for await (const session of sessions) list.push(session);
  return list;
}

export type Control = typeof control;

serve(control);
