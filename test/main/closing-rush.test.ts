// sessions.tcpClose: device when tens of thousands of connections are reset within milliseconds, as by a host that goes down:
// each leaves at once, none waits for its timeout.

import { credentials } from "@grpc/grpc-js";
import t from "tap";
import { load } from "../../src/config/load.js";
import { type SessionResponse, SessionTableClient } from "../../src/control/gen/openoffload.js";
import { startDevice } from "../../src/main/device.js";
import { createLog } from "../../src/main/log.js";
import { FRAME_LIMIT } from "../../src/memory/frames.js";
import { PackedFrames } from "../../src/port/memory.js";
import { add } from "../control/calls.js";
import { range, request } from "../control/device.js";
import { frameOf } from "../stage/packet.js";

const COUNT = 12_000;
/** Ethernet, IPv4, source port, and the upper byte of the destination port. */
const PORT_LOW = 14 + 20 + 2 + 1;
const RST = 0x04;

t.test(`${COUNT} connections are reset at once`, async (t) => {
  const frames = new PackedFrames(COUNT, 54);
  for (let n = 0; n < COUNT; n++) {
    // request(n)'s flow, but for the port: 81 is no session's.
    const flow = { ipv6: false, udp: false, sourcePort: 1000, destinationPort: 81 };
    const source = Uint8Array.of(10, 0, n >> 8, n);
    frames.bytes.set(frameOf({ ...flow, source, destination: Uint8Array.of(192, 0, 2, 1) }, { flags: RST }), frames.at(n));
  }
  const memory = { driver: "memory" } as const;
  const ports = [1, 2].map((lif) => ({ lif, ...memory }));
  const sessions = { capacity: 32_768, tcpClose: "device" } as const;
  const config = load({ grpc: "127.0.0.1:0", workers: 1 }, { ports, sessions }, { maxFrame: FRAME_LIMIT });
  const driver = { ...memory, source: frames.shared, total: Number.POSITIVE_INFINITY };
  const device = await startDevice(
    { ...config, ports: config.ports.map((port) => (port.lif === 1 ? { ...port, driver } : port)) },
    createLog("silent"),
  );
  t.teardown(() => device.stop());
  const client = new SessionTableClient(device.address, credentials.createInsecure());
  t.teardown(() => client.close());
  const answer = await add(
    client,
    range(1, COUNT).map((n) => request(n, { cacheTimeout: 3600 })),
  );
  t.equal(answer.requestStatus, 0);

  for (let n = 0; n < COUNT; n++) frames.bytes[frames.at(n) + PORT_LOW] = 80;
  const codes = new Map<bigint, number>();
  let reports = 0;
  for (const end = Date.now() + 10_000; codes.size < COUNT - 1 && Date.now() < end; ) {
    for await (const one of client.getClosedSessions({ pageSize: 0, page: 0, startSession: 0n })) {
      const { sessionId, sessionCloseCode } = one as SessionResponse;
      reports++;
      codes.set(sessionId, sessionCloseCode);
    }
  }
  t.equal(codes.size, COUNT - 1, "all have left");
  t.equal(reports, codes.size, "each is reported once");
  t.ok(
    [...codes.values()].every((code) => code === 2),
    "with _RST",
  );
});
