import t from "tap";
import { makeBump, runDevice } from "./bump.js";
import { noNamespaces } from "./namespaces.js";
import { tcpOffload } from "./tcp-offload.js";

const skip = noNamespaces;

t.test("TCP through one worker", { skip }, async (t) => {
  const bump = await makeBump(t);
  const device = await runDevice(t, bump, ["--workers", "1"]);
  await t.test("100 MB over IPv4, ended by FIN", (t) =>
    tcpOffload(t, bump, { family: 4, bytes: 100_000_000, end: "fin", ports: 5000 }),
  );
  await t.test("IPv4, ended by RST", (t) => tcpOffload(t, bump, { family: 4, bytes: 1_000_000, end: "reset", ports: 5100 }));
  await t.test("IPv6, ended by FIN", (t) => tcpOffload(t, bump, { family: 6, bytes: 5_000_000, end: "fin", ports: 5200 }));
  await t.test("IPv6, ended by RST", (t) => tcpOffload(t, bump, { family: 6, bytes: 1_000_000, end: "reset", ports: 5300 }));
  t.equal(await device.stop(), 0);
});

t.test("TCP through two workers", { skip }, async (t) => {
  const bump = await makeBump(t);
  const device = await runDevice(t, bump, ["--workers", "2"]);
  await t.test("six connections at once", (t) =>
    tcpOffload(t, bump, { family: 4, bytes: 10_000_000, end: "fin", connections: 6, ports: 5000 }),
  );
  const { workers } = await bump.control.stats();
  t.ok(
    workers.every(({ forwardedPackets }) => forwardedPackets > 0n),
    "both forward",
  );
  t.equal(await device.stop(), 0);
});
