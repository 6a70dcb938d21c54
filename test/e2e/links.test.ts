import t, { type Test } from "tap";
import { A, addsUp, B, type Bump, linkHost, makeBump, program, runDevice } from "./bump.js";
import { type Device, met, within } from "./device.js";
import { noNamespaces } from "./namespaces.js";

const skip = noNamespaces;
const SIZE = 200;
const SERVED_MS = 5000;

for (const workers of [1, 2]) {
  t.test(`interfaces go and come back, ${workers} workers`, { skip }, async (t) => {
    const bump = await makeBump(t);
    const { net } = bump;
    const device = await runDevice(t, bump, ["--workers", `${workers}`]);
    const traffic = await start(t, bump);
    const down = (name: string) => new RegExp(`interface ${name} .* is down`);
    const gone = (name: string) => new RegExp(`interface ${name} .* is gone`);

    await t.test("an uplink is set down and up", async (t) => {
      const line = device.log.length;
      net.sh("d", "ip link set up2 down");
      await device.logged(down("up2"), line);
      t.ok(await traffic.stopped(), "nothing arrives");
      net.sh("d", "ip link set up2 up");
      await serves(t, device, "up2", line, traffic);
    });
    await t.test("its peer is set down and up", async (t) => {
      const line = device.log.length;
      net.sh("b", "ip link set eth0 down");
      await device.logged(down("up2"), line);
      net.sh("b", "ip link set eth0 up");
      await serves(t, device, "up2", line, traffic);
    });
    await t.test("a host port is set down and up, which sessions do not mind", async (t) => {
      const line = device.log.length;
      net.sh("d", "ip link set host1 down");
      await device.logged(down("host1"), line);
      t.ok(await traffic.flows(), "traffic flows all the while");
      net.sh("d", "ip link set host1 up");
      await serves(t, device, "host1", line, traffic);
    });
    await t.test("an uplink is deleted and made again under its name", async (t) => {
      const line = device.log.length;
      net.sh("d", "ip link del up1");
      await device.logged(gone("up1"), line);
      t.ok(await traffic.stopped(), "nothing arrives");
      linkHost(net, "a");
      await serves(t, device, "up1", line, traffic);
      t.match(net.sh("d", "ip link show up1"), /NOARP/, "the new one is prepared as the old one was");
    });
    await traffic.end();
    await counted(t, bump, traffic);
    await through(t, bump);
    await addsUp(t, bump);
    t.equal(await device.stop(), 0);
    t.notMatch(net.sh("d", "ip link show up1"), /NOARP/, "and is put back");
  });
}

interface Traffic {
  /** What came out at b so far, in all. */
  arrived: number;
  /** Whether datagrams arrive, or within some seconds begin to. */
  flows(): Promise<boolean>;
  /** Whether none arrive, or within some seconds no more. */
  stopped(): Promise<boolean>;
  end(): Promise<void>;
}

/** UDP from a to b that a session forwards, for as long as the test goes on. */
async function start(t: Test, { a, b, control }: Bump): Promise<Traffic> {
  const port = 7500;
  const [here, there] = [await a.bind(A.ip4, port), await b.bind(B.ip4, port)];
  await a.datagrams(here, B.ip4, port, 1, SIZE);
  t.equal((await b.received(there, 1)).packets, 1, "the application forwards");
  const session = { id: 1, protocol: "UDP", from: A.ip4, fromPort: port, to: B.ip4, toPort: port, timeout: 600 } as const;
  t.strictSame(await control.add(program([session])), []);
  await a.start(here, B.ip4, port, SIZE, 200);
  const traffic: Traffic = {
    arrived: 0,
    flows: () => within(SERVED_MS, async () => (await take(10, 200)) >= 10),
    stopped: () => within(SERVED_MS, async () => (await take(1, 150)) === 0),
    async end() {
      await a.stop(here);
      while ((await take(1, 300)) > 0);
    },
  };
  const take = async (packets: number, milliseconds: number) => {
    const got = await b.received(there, packets, milliseconds);
    traffic.arrived += got.packets;
    return got.packets;
  };
  t.ok(await traffic.flows());
  return traffic;
}

async function serves(t: Test, device: Device, name: string, from: number, traffic: Traffic): Promise<void> {
  const up = await device.logged(new RegExp(`interface ${name} .* is up`), from);
  t.ok(await traffic.flows(), "it is served again");
  t.comment(`traffic flows ${Date.now() - up.time} ms after the log said so`);
}

/** A session counts what it decides: what found its port down is counted there as well. */
async function counted(t: Test, { control }: Bump, { arrived }: Traffic): Promise<void> {
  const session = Number((await control.get(1n))?.inPackets);
  const forwarded = await met(control, "forwarded");
  t.ok(arrived <= forwarded && forwarded <= session, "what arrived was forwarded, what was forwarded is counted on the session");
  const refused = (await met(control, "tx-down")) + (await met(control, "tx-full"));
  t.ok(session - forwarded <= refused, "and the rest was dropped by name");
}

/** A datagram that no session knows crosses all four ports. */
async function through(t: Test, { a, b }: Bump): Promise<void> {
  const [here, there] = [await a.bind(A.ip4, 7600), await b.bind(B.ip4, 7600)];
  await a.datagrams(here, B.ip4, 7600, 20, SIZE, 100);
  await b.datagrams(there, A.ip4, 7600, 20, SIZE, 100);
  t.ok((await b.received(there, 20)).packets >= 19, "the application forwards again");
  t.ok((await a.received(here, 20)).packets >= 19, "both ways");
}
