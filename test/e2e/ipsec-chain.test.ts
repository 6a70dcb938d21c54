// Four tunnels on a device in the middle, as in the API's guide: decrypt, decapsulate, encapsulate, encrypt, both ways, between two
// devices that end the outer two.

import t, { type Test } from "tap";
import { EncType, IPSecTunnelType, type IpTunnelRequest } from "../../src/control/gen/tunneloffload.js";
import { A, B } from "./bump.js";
import { Capture, WHOLE } from "./capture.js";
import { soundToTshark } from "./dissect.js";
import { decapsulate, decrypt, type Esp, encapsulate, encrypt, from, type Key, NEXT, newKey } from "./ipsec.js";
import { allIdle, endLine, iperf, type Line, type LineDevice, makeLine, type Side } from "./line.js";
import { noNamespaces } from "./namespaces.js";
import { transfers } from "./peer.js";
import { answeredPings } from "./probe.js";

const BYTES = 300_000;
/**
 * On either side of the device in the middle. Of one overhead: what turns out too big there is told to whoever encrypted it, and a
 * device that owns no address is not told.
 */
const LEFT: Esp = { mode: IPSecTunnelType.TUNNEL, encryption: EncType._AES256GCM128, family: 4 };
const RIGHT: Esp = { mode: IPSecTunnelType.TUNNEL, encryption: EncType._AES128GCM128, family: 4 };
const VNI = { left: 0x111, right: 0x222 };

t.test("the chain of four tunnels", { skip: noNamespaces }, async (t) => {
  const line = await makeLine(t, ["d", "m", "e"]);
  const { net, devices } = line;
  const [d, m, e] = devices as [LineDevice, LineDevice, LineDevice];
  const keys = { d: newKey(0x11, LEFT), md: newKey(0x12, LEFT), me: newKey(0x21, RIGHT), e: newKey(0x22, RIGHT) };
  t.strictSame(await d.control.tunnels(end("a", "b", LEFT, VNI.left, keys.d, keys.md)), []);
  t.strictSame(await e.control.tunnels(end("b", "a", RIGHT, VNI.right, keys.e, keys.me)), []);
  t.strictSame(await m.control.tunnels(chain(10, "a", "b", [LEFT, keys.d], [RIGHT, keys.me], VNI.right)), []);
  t.strictSame(await m.control.tunnels(chain(20, "b", "a", [RIGHT, keys.e], [LEFT, keys.md], VNI.left)), []);

  const captures = await Promise.all([Capture.start(net, "m", "up1", WHOLE), Capture.start(net, "m", "up2", WHOLE)]);
  for (const [part, four, six] of [["a", B.ip4, B.ip6] as const, ["b", A.ip4, A.ip6] as const]) {
    t.equal(answeredPings(net, part, four, 5), 5, `pings from ${part}`);
    t.equal(answeredPings(net, part, six, 5), 5, `IPv6 pings from ${part}`);
  }
  await t.test("TCP both ways", (t) => transfers(t, line, 7000, BYTES));
  await allIdle(line);
  await Promise.all(captures.map((capture) => capture.stop()));
  for (const capture of captures) {
    t.equal(capture.count("not ip proto 50").packets, 0, "there is nothing but ESP on either side of it");
    soundToTshark(t, capture, "frame", "ESP");
  }
  await t.test("each tunnel of the chain takes what the one before it puts out", (t) => follows(t, line));
  await t.test("iperf3", (t) => iperf(t, line));
  await endLine(t, line);
});

/** Encapsulates and encrypts towards `far`, and the reverse. */
function end(near: Side, far: Side, esp: Esp, vni: number, out: Key, back: Key): IpTunnelRequest[] {
  return [
    encapsulate(1, from(near), far, vni, NEXT.recirculate),
    encrypt(2, from(near, { tunnelId: 1n }), esp, far, out),
    decrypt(3, from(far), esp, [back], NEXT.recirculate),
    decapsulate(4, from(far, { tunnelId: 3n })),
  ];
}

/** As the guide has it: its last rule looks for the tunnel before it and for ESP. */
function chain(id: number, near: Side, far: Side, [opens, key]: [Esp, Key], [seals, next]: [Esp, Key], vni: number) {
  const esp = { $case: "ipsecMatch", value: { spi: key.spi, sn: 0 } } as const;
  return [
    decrypt(id + 1, from(near, { match: esp }), opens, [key], NEXT.recirculate),
    decapsulate(id + 2, from(near, { tunnelId: BigInt(id + 1) }), NEXT.recirculate),
    encapsulate(id + 3, from(near, { tunnelId: BigInt(id + 2) }), far, vni, NEXT.recirculate),
    encrypt(id + 4, from(near, { tunnelId: BigInt(id + 3), match: esp }), seals, far, next),
  ];
}

async function follows(t: Test, { devices }: Line): Promise<void> {
  const [d, m, e] = devices as [LineDevice, LineDevice, LineDevice];
  for (const [first, base, last] of [[d, 10, e] as const, [e, 20, d] as const]) {
    const tunnels = [
      ...[1n, 2n].map((id) => [first, id] as const),
      ...[1, 2, 3, 4].map((i) => [m, BigInt(base + i)] as const),
      ...[3n, 4n].map((id) => [last, id] as const),
    ];
    const counts = await Promise.all(tunnels.map(([{ control }, id]) => control.tunnel(id)));
    t.ok(Number(counts[0]?.inPackets) > 100);
    // Dropped is what turns out too big for the link, before anybody knows what fits.
    const left = counts.map((one) => Number(one?.outPackets) - Number(one?.outPacketsDrops));
    t.strictSame(
      left.slice(0, -1),
      counts.slice(1).map((one) => Number(one?.inPackets)),
      "packets",
    );
    const bytes = counts.map((one) => Number(one?.outBytes) - Number(one?.outBytesDrops));
    t.strictSame(
      bytes.slice(0, -1),
      counts.slice(1).map((one) => Number(one?.inBytes)),
      "bytes",
    );
  }
}
