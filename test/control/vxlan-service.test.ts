import { type ServiceError, status } from "@grpc/grpc-js";
import t from "tap";
import type { TunnelOptions, VxlanEncap, VxlanTunnelRequest } from "../../src/control/gen/sluice_tunnel.js";
import { codeOf } from "./calls.js";
import {
  change,
  create,
  createVxlan,
  criteria,
  device,
  geneveDecap,
  geneveEncap,
  getTunnel,
  s_addr,
  type TunnelDevice,
  tunnel,
} from "./tunnel-device.js";

const ENCAP: VxlanEncap = {
  ip: { $case: "outerIpv4Pair", value: { sourceIp: s_addr("192.0.2.1"), destinationIp: s_addr("192.0.2.2") } },
  innerMacPair: undefined,
  vni: 77,
};

function vxlan(id: number, changes: Partial<VxlanTunnelRequest> = {}): VxlanTunnelRequest {
  return {
    tunnelId: BigInt(id),
    operation: 1,
    matchCriteria: criteria(),
    nextAction: 1,
    tunnel: { $case: "vxlanEncap", value: ENCAP },
    ...changes,
  };
}

type Done<T> = (error: ServiceError | null, value: T) => void;
const call = <T>(start: (done: Done<T>) => void): Promise<T> =>
  new Promise((resolve, reject) => start((error, value) => (error ? reject(error) : resolve(value))));
const get = ({ vxlan }: TunnelDevice, id: number) =>
  call<VxlanTunnelRequest>((done) => vxlan.getVxlanTunnel({ tunnelId: BigInt(id) }, done));
const options = ({ vxlan }: TunnelDevice, id: number) =>
  call<TunnelOptions>((done) => vxlan.getTunnelOptions({ tunnelId: BigInt(id) }, done));
const set = ({ vxlan }: TunnelDevice, id: number, changes: Partial<TunnelOptions>) =>
  call<TunnelOptions>((done) => vxlan.setTunnelOptions({ tunnelId: BigInt(id), ...changes }, done));

const ESP = { esn: false, replayWindow: 1024, nattSourcePort: 4500 };
const DEFAULTS = { udpPort: 0, udpChecksum: 0, dontFragment: 0, ttl: 64, dscp: 64, ecn: 0, innerVlan: 0, ...ESP };

t.test("VXLAN tunnels are made, updated, read and deleted, in the ids and the list of all tunnels", async (t) => {
  const made = await device(t);
  await create(made.client, [tunnel(5)]);
  const decap = vxlan(2, { matchCriteria: criteria({ tunnelId: 5n }), tunnel: { $case: "vxlanDecap", value: {} } });
  const answer = await createVxlan(made.vxlan, [vxlan(1), decap, vxlan(0), vxlan(5)]);
  t.match(answer, { requestStatus: 4, errorStatus: 0b1000n });
  t.same(
    answer.responses.map(({ tunnelId }) => tunnelId),
    [1n, 2n, 2147483647n, 5n],
  );
  t.same(await get(made, 1), vxlan(1));
  t.same(await get(made, 2), decap);
  const pages: VxlanTunnelRequest[][] = [];
  for await (const { tunnels } of made.vxlan.getAllVxlanTunnels({ tunnelsPerRequest: 2 })) pages.push(tunnels);
  t.same(pages, [[vxlan(1), decap], [vxlan(2147483647)]], "without those of other kinds");
  const update = await createVxlan(made.vxlan, [
    { ...vxlan(1), operation: 2, nextAction: 2, tunnel: { $case: "vxlanEncap", value: { ...ENCAP, ip: undefined, vni: 78 } } },
    { ...vxlan(2), operation: 3 },
  ]);
  t.equal(update.requestStatus, 0);
  t.same(await get(made, 1), vxlan(1, { nextAction: 2, tunnel: { $case: "vxlanEncap", value: { ...ENCAP, vni: 78 } } }));
  t.match(await codeOf(get(made, 2)), { code: status.NOT_FOUND, details: "there is no tunnel 2" });
  t.match(await codeOf(get(made, 5)), { code: status.NOT_FOUND, details: /tunnel 5 is not a VXLAN tunnel: IpTunnelService/ });
});

t.test("the standard service lists VXLAN tunnels, in its own words, and changes and deletes them", async (t) => {
  const made = await device(t);
  await createVxlan(made.vxlan, [vxlan(1), vxlan(2, { tunnel: { $case: "vxlanDecap", value: {} } })]);
  t.match(await getTunnel(made.client, 1), { tunnelId: 1n, ipTunnel: { nextAction: 1, tunnel: undefined } });
  const decap = (await getTunnel(made.client, 2)).ipTunnel;
  t.same(decap?.tunnel, geneveDecap);
  t.equal(decap?.matchCriteria?.match?.$case, "vxlanMatch");
  t.match(await create(made.client, [change(1, 2, { nextAction: 2 }), change(2, 3)]), { requestStatus: 0 });
  t.match(await get(made, 1), { nextAction: 2, tunnel: { $case: "vxlanEncap", value: ENCAP } });
  t.match(await create(made.client, [change(1, 2, { tunnel: geneveEncap() })]), { requestStatus: 0 });
  t.equal(made.rules.get(1n)?.rule.tunnel.kind, "geneve-encap");
});

t.test("mistakes of VXLAN tunnels have codes and sentences", async (t) => {
  const made = await device(t);
  const geneveMatch = { vni: 0, macMatch: undefined, protocolType: 0, ipMatch: undefined };
  const answer = await createVxlan(made.vxlan, [
    vxlan(1, { tunnel: { $case: "vxlanEncap", value: { ...ENCAP, vni: 1 << 24 } } }),
    vxlan(1, { tunnel: { $case: "vxlanEncap", value: { ...ENCAP, ip: undefined } } }),
    vxlan(1, {
      matchCriteria: criteria({ match: { $case: "geneveMatch", value: geneveMatch } }),
      tunnel: { $case: "vxlanDecap", value: {} },
    }),
    vxlan(1, { tunnel: undefined }),
  ]);
  t.match(
    answer.responses.map(({ error }) => error),
    [
      { errorMessage: { matchError: 3 }, errorString: /^vxlan_encap.vni 16777216 is past/ },
      { errorMessage: { matchError: 3 }, errorString: /^vxlan_encap has neither outer_ipv4_pair nor outer_ipv6_pair/ },
      { errorMessage: { matchError: 2 }, errorString: /^vxlan_decap cannot take what its match is for: match with vxlan_match/ },
      { errorMessage: { tunnelError: 0 }, errorString: /^there is no tunnel in the request/ },
    ],
  );
});

t.test("options: all in the answer, absent ones kept, and they survive updates", async (t) => {
  const made = await device(t);
  await create(made.client, [tunnel(1)]);
  t.same(await options(made, 1), { tunnelId: 1n, ...DEFAULTS });
  t.same(await set(made, 1, { udpPort: 7000, ttl: 9 }), { tunnelId: 1n, ...DEFAULTS, udpPort: 7000, ttl: 9 });
  const all = { udpPort: 7000, udpChecksum: 1, dontFragment: 2, ttl: 9, dscp: 0, ecn: 1, innerVlan: 1, ...ESP };
  await set(made, 1, { udpChecksum: 1, dontFragment: 2, dscp: 0, ecn: 1, innerVlan: 1 });
  t.same(await options(made, 1), { tunnelId: 1n, ...all });
  await create(made.client, [change(1, 2, { tunnel: geneveEncap({ vni: 3 }) })]);
  t.same(await options(made, 1), { tunnelId: 1n, ...all });
  t.same(await set(made, 1, { udpPort: 0, dscp: 64 }), { tunnelId: 1n, ...all, udpPort: 0, dscp: 64 });
  t.match(await codeOf(options(made, 9)), { code: status.NOT_FOUND });
  t.match(await codeOf(set(made, 9, { ttl: 1 })), { code: status.NOT_FOUND });
});

t.test("the configuration has the options that tunnels begin with", async (t) => {
  const made = await device(t, { settings: { ttl: 5, innerVlan: "keep", udpChecksum: "zero", df: "set", ecn: "compatibility" } });
  await create(made.client, [tunnel(1)]);
  t.match(await options(made, 1), { ttl: 5, innerVlan: 1, udpChecksum: 2, dontFragment: 1, ecn: 1 });
});

t.test("options that cannot be are INVALID_ARGUMENT and change nothing", async (t) => {
  const made = await device(t);
  await create(made.client, [tunnel(1), tunnel(2, { tunnel: geneveDecap })]);
  await createVxlan(made.vxlan, [vxlan(3, { tunnel: { $case: "vxlanDecap", value: {} } })]);
  const cases: [Partial<TunnelOptions>, RegExp][] = [
    [{ udpPort: 65_536 }, /^udp_port 65536 is past 65535$/],
    [{ ttl: 0 }, /^ttl 0: give 1 to 255$/],
    [{ ttl: 256 }, /^ttl 256/],
    [{ dscp: 65 }, /^dscp 65: give 0 to 63, or 64 for that of the packet inside$/],
    [{ udpChecksum: 3 as number }, /^udp_checksum 3 is none of/],
    [{ dontFragment: 3 as number }, /^dont_fragment 3 is none of/],
    [{ ecn: 2 as number }, /^ecn 2 is none of/],
    [{ innerVlan: 2 as number }, /^inner_vlan 2 is none of/],
    [{ replayWindow: 63 }, /^replay_window 63: give 64 to 8192, or 0 to look for no replays$/],
    [{ replayWindow: 8193 }, /^replay_window 8193/],
    [{ nattSourcePort: 0 }, /^natt_source_port 0: give 1 to 65535$/],
    [{ nattSourcePort: 65_536 }, /^natt_source_port 65536/],
  ];
  for (const [changes, details] of cases)
    t.match(await codeOf(set(made, 1, changes)), { code: status.INVALID_ARGUMENT, details });
  t.same(await options(made, 1), { tunnelId: 1n, ...DEFAULTS });
  // A port announces one header.
  for (const port of [4500, 4789]) {
    t.match(await codeOf(set(made, 2, { udpPort: port })), { code: status.INVALID_ARGUMENT, details: /choose another udp_port/ });
  }
  await set(made, 2, { udpPort: 7000 });
  t.match(await codeOf(set(made, 3, { udpPort: 7000 })), { code: status.INVALID_ARGUMENT });
  await set(made, 1, { udpPort: 4789 });
  await set(made, 2, { udpPort: 7001 });
  await set(made, 3, { udpPort: 7000 });
  t.equal((await options(made, 3)).udpPort, 7000);
});
