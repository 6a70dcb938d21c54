import { status } from "@grpc/grpc-js";
import t, { type Test } from "tap";
import { AddTunnelStatus } from "../../src/control/gen/tunneloffload.js";
import { codeOf, until } from "./calls.js";
import { range } from "./device.js";
import {
  change,
  create,
  criteria,
  geneveDecap,
  geneveEncap,
  getTunnel,
  s_addr,
  startTunnelDevice,
  type TunnelDevice,
  type TunnelDeviceOptions,
  tunnel,
} from "./tunnel-device.js";

const { _TUNNEL_ACCEPTED, _TUNNEL_REJECTED, _TUNNEL_TABLE_FULL, _TUNNEL_TABLE_UNAVAILABLE, _TUNNEL_ALREADY_EXISTS } =
  AddTunnelStatus;

async function device(t: Test, options?: TunnelDeviceOptions): Promise<TunnelDevice> {
  const started = await startTunnelDevice(options);
  t.teardown(() => started.stop());
  return started;
}

const ids = (made: TunnelDevice) => [...made.rules.list()].map(({ rule }) => Number(rule.id));

t.test("a stream of 64 goes in whole, each with a response of its own, in order", async (t) => {
  const made = await device(t);
  const answer = await create(
    made.client,
    range(1, 65).map((id) => tunnel(id)),
  );
  t.match(answer, { requestStatus: _TUNNEL_ACCEPTED, errorStatus: 0n });
  t.same(
    answer.responses,
    range(1, 65).map((id) => ({ tunnelId: BigInt(id), error: undefined })),
  );
  t.same(ids(made), range(1, 65));
});
