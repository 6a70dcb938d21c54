// The whole device under timeouts, packets and deletes that meet: workers that never rest, so that hardly a session leaves
// without packets of its flow in flight, and a client in another process that adds, deletes and follows what closes (race.py).

import t from "tap";
import { load } from "../../../src/config/load.js";
import { startDevice } from "../../../src/main/device.js";
import { createLog } from "../../../src/main/log.js";
import { FRAME_LIMIT } from "../../../src/memory/frames.js";
import { PackedFrames } from "../../../src/port/memory.js";
import { frameOf } from "../../stage/packet.js";
import { noPython, python, verdicts } from "./rig.js";

/** Two flows each, of which one has packets: they differ in the last bit of the destination port. */
const SLOTS = 150;
const SECONDS = 4;
const LONGEST = 46 + 60;
/** Ethernet, IPv4, source port, and the upper byte. */
const PORT_LOW = 14 + 20 + 2 + 1;

function sources(): PackedFrames {
  const frames = new PackedFrames(SLOTS, LONGEST);
  for (let slot = 0; slot < SLOTS; slot++) {
    const frame = frameOf({
      ...{ ipv6: false, udp: true, payload: 4 + (slot % 60), sourcePort: 1 + slot, destinationPort: 80 },
      source: Uint8Array.of(10, 0, 0, 1),
      destination: Uint8Array.of(10, 1, 0, 1),
    });
    frames.bytes.set(frame, frames.at(slot));
    frames.resize(slot, frame.length);
  }
  return frames;
}

t.test("timeouts race with packets and deletes", { skip: noPython }, async (t) => {
  const memory = { driver: "memory" } as const;
  const ports = [1, 2].map((lif) => ({ lif, ...memory, host: memory }));
  const config = load({ grpc: "127.0.0.1:0", workers: 2 }, { ports }, { maxFrame: FRAME_LIMIT });
  const frames = sources();
  const driver = { ...memory, source: frames.shared, total: Number.POSITIVE_INFINITY, everyWorker: true } as const;
  const device = await startDevice(
    { ...config, ports: config.ports.map((port) => (port.lif === 1 ? { ...port, driver } : port)) },
    createLog("silent"),
  );
  t.teardown(() => device.stop());

  // A flow is silent for one second and up to a fifth: it comes back when its session is just due, or has just gone.
  const silence = () => 1000 + Math.random() * 200;
  const flips = Array.from({ length: SLOTS }, () => performance.now() + silence());
  const flipping = setInterval(() => {
    const now = performance.now();
    for (let slot = 0; slot < SLOTS; slot++) {
      if ((flips[slot] as number) > now) continue;
      flips[slot] = now + silence();
      const at = frames.at(slot) + PORT_LOW;
      frames.bytes[at] = (frames.bytes[at] as number) ^ 1;
    }
  }, 1);
  t.teardown(() => clearInterval(flipping));
  await verdicts(t, python("race.py", device.address, `${SLOTS * 2}`, `${SECONDS}`));
});
