import t, { type Test } from "tap";
import { addsUp, type Bump, makeBump, runDevice } from "./bump.js";
import { type Namespaces, noNamespaces } from "./namespaces.js";

const skip = noNamespaces;
const NAMES = ["up1", "up2", "host1", "host2"];

t.test("sluice run ends and leaves the interfaces as they were", { skip }, async (t) => {
  const bump = await makeBump(t);
  const { net } = bump;
  unusual(net);
  const before = state(net);
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    await t.test(signal, (t) => stop(t, bump, signal, before));
  }
  await t.test("with a stream that follows closed sessions", async (t) => {
    const device = await runDevice(t, bump);
    await bump.control.follow();
    const begin = Date.now();
    t.equal(await device.stop("SIGTERM"), 0);
    t.comment(`after ${Date.now() - begin} ms`);
    // A call that does not end is given 2 s.
    t.ok(Date.now() - begin < 1900, "the stream is ended, not waited for");
    t.strictSame(state(net), before);
  });
  await t.test("with a call that hangs", async (t) => {
    const device = await runDevice(t, bump);
    await bump.control.hang();
    t.equal(await device.stop("SIGTERM"), 0, "it is cut off");
    t.strictSame(state(net), before);
  });
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    await t.test(`a second ${signal} while a call hangs ends it at once`, async (t) => {
      const device = await runDevice(t, bump);
      await bump.control.hang();
      device.child.kill("SIGTERM");
      await new Promise((resolve) => setTimeout(resolve, 200));
      t.equal(device.child.exitCode, null, "the first one waits for the call");
      const begin = Date.now();
      t.equal(await device.stop(signal), code);
      t.ok(Date.now() - begin < 1000, "at once");
    });
  }
  await t.test("a device runs and stops after that", (t) => stop(t, bump, "SIGTERM"));
});

async function stop(t: Test, bump: Bump, signal: NodeJS.Signals, before?: Record<string, unknown>): Promise<void> {
  const device = await runDevice(t, bump);
  const running = state(bump.net);
  for (const name of NAMES) {
    t.match(running[name], { flags: /NOARP/, promiscuity: /[1-9]/, ipv6: "1", gro: "off" }, `${name} is the device's`);
  }
  await addsUp(t, bump);
  t.equal(await device.stop(signal), 0);
  if (before !== undefined) t.strictSame(state(bump.net), before, "all as before");
  t.equal(bump.net.sh("d", "cat /proc/net/packet").trim().split("\n").length, 1, "no packet socket is left");
}

/** What is not as a new interface has it must come back, too. */
function unusual(net: Namespaces): void {
  net.sh("d", "ethtool -K up1 gro on");
  net.sh("d", "ip addr add fd09::1/64 dev host1");
  net.quiet("d", "host2");
  net.sh("d", "ip link set up2 mtu 1400 arp off");
  net.sh("d", "ip link set host2 down");
  net.sh("d", "ip link set host2 promisc on");
}

type InterfaceState = Record<"flags" | "mtu" | "promiscuity" | "ipv6" | "gro" | "lro" | "addresses", string>;

function state(net: Namespaces): Record<string, InterfaceState> {
  return Object.fromEntries(
    NAMES.map((name) => {
      const link = net.sh("d", `ip -d link show ${name}`);
      const features = net.sh("d", `ethtool -k ${name}`);
      const found = (text: string, pattern: RegExp) => pattern.exec(text)?.[1] ?? "not shown";
      const global = net.sh("d", `ip -6 -o addr show dev ${name} scope global`);
      return [
        name,
        {
          flags: found(link, /<(.*?)>/),
          mtu: found(link, /mtu (\d+)/),
          promiscuity: found(link, /promiscuity (\d+)/),
          ipv6: net.sh("d", `cat /proc/sys/net/ipv6/conf/${name}/disable_ipv6`).trim(),
          gro: found(features, /generic-receive-offload: (\w+)/),
          lro: found(features, /large-receive-offload: (\w+)/),
          addresses: global.replace(/^\d+: | tentative/g, "").replace(/\s+/g, " "),
        },
      ];
    }),
  );
}
