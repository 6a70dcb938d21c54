import { readFileSync } from "node:fs";
import t from "tap";
import { SluiceClient } from "../../src/control/client.js";
import { parseProgram } from "../../src/control/program.js";
import { startTunnelDevice, type TunnelDeviceOptions, tunnel } from "./tunnel-device.js";

const PROGRAM = readFileSync("pcaps/tunnels/program.yaml", "utf8");

for (const options of [{}, { ipv4Order: "host", missing: "status" }] satisfies TunnelDeviceOptions[]) {
  const order = options.ipv4Order ?? "s_addr";
  t.test(`a program's tunnels go in, in order, with their options (${order})`, async (t) => {
    const device = await startTunnelDevice(options);
    const client = new SluiceClient(device.target);
    t.teardown(async () => {
      client.close();
      await device.stop();
    });
    const { tunnels } = parseProgram(PROGRAM, "program.yaml", order);
    const results = await client.tunnels.send(tunnels);
    t.same(
      results.map(({ id, sentence }) => [Number(id), sentence]),
      [10, 20, 30, 31, 40, 41].map((id) => [id, undefined]),
    );
    t.match(
      [...device.rules.list()].map(({ rule }) => rule),
      [
        {
          match: { ingress: { port: 0, vlan: 0 }, ip: { destination: { address: Uint8Array.of(10, 1, 0, 0), length: 16 } } },
          next: 1,
          tunnel: {
            kind: "geneve-encap",
            outer: { source: Uint8Array.of(192, 0, 2, 1), destination: Uint8Array.of(192, 0, 2, 2) },
            vni: 0x1234,
            innerMac: { destination: Uint8Array.of(2, 0, 0, 0, 11, 2), source: Uint8Array.of(2, 0, 0, 0, 11, 1) },
            options: [{ class: 0x0102, type: 0x81, data: Uint8Array.of(0xca, 0xfe, 0xba, 0xbe) }],
          },
        },
        { next: 0, tunnel: { kind: "geneve-decap" } },
        { next: 2, tunnel: { kind: "vxlan-encap", vni: 77 }, settings: { udpChecksum: "zero", ttl: 32 } },
        { match: { tunnelId: 30n, ingress: { vlan: "any" } }, tunnel: { vni: 5 } },
        { match: { ingress: { port: 3 } }, tunnel: { kind: "vxlan-decap" } },
        { tunnel: { kind: "vxlan-decap" }, settings: { udpPort: 8472, innerVlan: "keep" } },
      ],
    );
    const listed: number[] = [];
    for await (const page of client.tunnels.pages()) listed.push(...page.map(({ tunnelId }) => Number(tunnelId)));
    t.same(listed, [10, 20, 30, 31, 40, 41]);
    t.match(await client.tunnels.get(31n), { tunnelId: 31n, ipTunnel: { matchCriteria: { tunnelId: 30n } } });
    t.match(await client.tunnels.stats(31n), { tunnelCounters: { inPackets: 0n } });
    t.match(await client.tunnels.vxlan(30n), { tunnel: { $case: "vxlanEncap", value: { vni: 77 } } });
    t.match(await client.tunnels.options(30n), { ttl: 32 });
    for (const missing of [
      client.tunnels.get(1n),
      client.tunnels.stats(1n),
      client.tunnels.vxlan(10n),
      client.tunnels.options(1n),
    ]) {
      t.equal(await missing, undefined);
    }
  });
}

t.test("each tunnel that was not carried out is told why, and which", async (t) => {
  const device = await startTunnelDevice({ capacity: 100 });
  const client = new SluiceClient(device.target);
  t.teardown(async () => {
    client.close();
    await device.stop();
  });
  const wanted = Array.from({ length: 70 }, (_, i) => ({ request: tunnel(i + 1) }));
  const wrong = { request: tunnel(66, { tunnelId: 1n }) };
  const options = { tunnelId: 0n, ttl: 0 };
  const results = await client.tunnels.send([...wanted, wrong, { request: tunnel(200), options }]);
  t.same(
    results.flatMap(({ id, sentence }, i) => (sentence === undefined ? [] : [[i, Number(id), sentence.split(":")[0]]])),
    [
      [70, 1, "tunnel 1 exists already"],
      [71, 200, "the tunnel is there, its options are not"],
    ],
  );
});
