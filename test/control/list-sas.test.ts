// sluice.v1 Tunnels.ListSas.

import { status } from "@grpc/grpc-js";
import t from "tap";
import type { Sa, TunnelOptions } from "../../src/control/gen/sluice_tunnel.js";
import { EncType, IPSecTunnelType } from "../../src/control/gen/tunneloffload.js";
import { SaFailure } from "../../src/table/sa.js";
import { SaLane } from "../../src/table/sa-memory.js";
import { SKEW } from "../../src/table/session-memory.js";
import { dec, enc, material, sa, send, slots } from "./ipsec-tunnels.js";
import { change, device, type TunnelDevice, tunnel } from "./tunnel-device.js";

async function list({ vxlan }: TunnelDevice, id = 0): Promise<Sa[]> {
  const all: Sa[] = [];
  for await (const { sas } of vxlan.listSas({ tunnelId: BigInt(id) })) all.push(...(sas as Sa[]));
  return all;
}

t.test("each SA, by tunnel and in order; of one tunnel when asked", async (t) => {
  const made = await device(t);
  t.same(await list(made), []);
  const ccm = { tunnelType: IPSecTunnelType.TRANSPORT_NAT_TRAVERSAL as number, encryptionType: EncType._AES128CCM96 as number };
  const before = Date.now() - 1;
  await send(made, dec([sa(7, material(19, 7)), sa(6, material(19, 6))], ccm), tunnel(2), enc({}, { tunnelId: 3n }));
  const all = await list(made);
  const common = {
    packets: 0n,
    bytes: 0n,
    sequenceNumber: 0n,
    failures: {},
    lastUsed: undefined,
    esn: false,
    replayWindow: 1024,
  };
  t.match(all, [
    { tunnelId: 1n, spi: 7, encrypts: false, ...ccm, ...common },
    { tunnelId: 1n, spi: 6, encrypts: false, ...ccm, ...common },
    { tunnelId: 3n, spi: 1000, encrypts: true, tunnelType: 1, encryptionType: EncType._AES256GCM128, ...common },
  ]);
  const [first] = all;
  const created = Number(first?.created?.seconds) * 1000 + Number(first?.created?.nanos) / 1e6;
  t.ok(created >= before && created <= Date.now());
  t.same(
    (await list(made, 3)).map(({ spi }) => spi),
    [1000],
  );
  t.same(await list(made, 2), [], "no IPsec, no SAs");
  await t.rejects(list(made, 9), { code: status.NOT_FOUND });
});

t.test("what it did and refused, over all workers, without zeros", async (t) => {
  const made = await device(t);
  await send(made, dec([sa(5)]));
  const slot = slots(made)[0]?.[1] ?? -1;
  const lane = new Float64Array(made.saMemory.lanes[0] as SharedArrayBuffer, SKEW);
  const at = slot << SaLane.shift;
  lane[at + SaLane.packets] = 12;
  lane[at + SaLane.bytes] = 2 ** 40;
  lane[at + SaLane.lastUsed] = 1_700_000_000_500;
  lane[at + SaLane.failures + SaFailure.replayed] = 3;
  lane[at + SaLane.failures + SaFailure.dummy] = 1;
  t.match(await list(made), [
    {
      packets: 12n,
      bytes: 2n ** 40n,
      failures: { replayed: 3n, dummy: 1n },
      lastUsed: { seconds: 1_700_000_000n, nanos: 500_000_000 },
    },
  ]);
  t.same(Object.keys((await list(made))[0]?.failures ?? {}), ["replayed", "dummy"]);
});

t.test("SetTunnelOptions reaches the SAs that the tunnel has, and those that come", async (t) => {
  const made = await device(t);
  await send(made, dec([sa(5)]));
  const options: TunnelOptions = { tunnelId: 1n, esn: true, replayWindow: 8192, nattSourcePort: 5000 };
  const answer = await new Promise<TunnelOptions>((resolve, reject) =>
    made.vxlan.setTunnelOptions(options, (error, value) => (error ? reject(error) : resolve(value))),
  );
  t.match(answer, options);
  await send(made, change(1, 2, { tunnel: dec([sa(6)], { tunnelType: 0, encryptionType: 0 }).tunnel }));
  const wanted = { esn: true, replayWindow: 8192 };
  t.match(await list(made), [wanted, wanted]);
});

t.test("many, in messages of a size that any client takes", async (t) => {
  const made = await device(t, { sas: 40_000, capacity: 50 });
  for (let id = 1; id <= 20; id++) {
    const sas = Array.from({ length: 1500 }, (_, i) => sa(1 + id * 2000 + i, material(36, i)));
    t.same(await send(made, dec(sas, {}, { tunnelId: BigInt(id) })), [undefined]);
  }
  t.equal((await list(made)).length, 30_000);
});
