// `sluice session add`, in a process of its own against a device over TCP.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { device, Running, sluice } from "../command.js";

const TCP = ["--in", "1", "--protocol", "tcp", "--action", "forward"];

t.test("what was added is shown, with the id that was given or assigned", async (t) => {
  const { target } = await device(t);
  const add = (...args: string[]) => sluice("session", "add", "--target", target, ...args);
  const v4 = (port: number) => ["--source", `10.0.0.1:${port}`, "--destination", "10.1.0.1:80"];

  t.same(await add(...TCP, ...v4(1), "--id", "18446744073709551615", "--timeout", "60"), {
    code: 0,
    signal: null,
    stdout: "session 18446744073709551615 added: tcp 10.0.0.1:1 to 10.1.0.1:80, in 1, forward, timeout 60 s\n",
    stderr: "",
  });
  // api.md 8: assigned ids run down from 2147483647.
  t.match(await add(...TCP, ...v4(2), "--timeout", "60"), {
    code: 0,
    stdout: /^session 2147483647 added: tcp 10\.0\.0\.1:2 to /,
  });
  t.match(await add(...TCP, ...v4(3), "--timeout", "60", "--json"), { code: 0 });
  const v6 = ["--source", "[2001:db8::1]:53", "--destination", "[2001:db8::2]:53", "--id", "0", "--json"];
  const fourth = await add("--in", "1.100", "--out", "2", "--protocol", "udp", "--action", "drop", ...v6, "--timeout", "60");
  t.same(JSON.parse(fourth.stdout), { session_id: 2147483645, request_status: "_SESSION_ACCEPTED" });

  const listed = JSON.parse((await sluice("session", "list", "--target", target, "--json")).stdout);
  t.same(
    listed.map((session: { session_id: number | string }) => session.session_id),
    ["18446744073709551615", 2147483647, 2147483646, 2147483645],
  );

  t.test("and why the device did not take it", async (t) => {
    const refused: [string[], RegExp][] = [
      [
        [...v4(1)],
        /^sluice: the session was not added: _SESSION_ALREADY_EXISTS: its session_id or one of its two flows is taken/,
      ],
      [[...v4(9), "--in", "7"], /_SESSION_REJECTED: in_lif 7 is not configured; there are 1, 2\n$/],
      [[...v4(9), "--id", "4294967295"], /_SESSION_REJECTED: session_id 4294967295 is reserved/],
      [[...v4(9), "--out", "1.5"], /_SESSION_REJECTED: out_lif has VLAN id 5, in_lif 0/],
    ];
    for (const [args, expected] of refused) {
      const { code, stdout, stderr } = await add(...TCP, ...args);
      t.equal(code, 1, args.join(" "));
      t.equal(stdout, "");
      t.match(stderr, expected, args.join(" "));
    }
  });
});

t.test("copies go to a collector of the device, by its address", async (t) => {
  const file = join(t.testdir({}), "sluice.yaml");
  const ports = "[{ lif: 1, driver: memory }, { lif: 2, driver: memory }, { name: collector, driver: memory }]";
  const hop = (ip: string) => `{ ip: "${ip}", port: collector, mac: "02:00:00:00:00:09" }`;
  writeFileSync(
    file,
    `ports: ${ports}\ngrpc: { listen: "127.0.0.1:0" }\nnextHops: [${hop("12.2.3.4")}, ${hop("2001:db8::9")}]\n`,
  );
  const running = new Running(["run", "-c", file]);
  t.teardown(() => running.child.kill("SIGKILL"));
  const target = (await running.said(/gRPC on (\S+),/))[1] ?? "";
  const add = (port: number, ...more: string[]) => {
    const ends = ["--source", `10.0.0.1:${port}`, "--destination", "10.1.0.1:80", "--protocol", "udp", "--timeout", "60"];
    return sluice("session", "add", "--target", target, "--in", "1", "--id", `${port}`, ...ends, ...more);
  };
  t.match(await add(1, "--action", "mirror", "--next-hop", "12.2.3.4"), { code: 0, stdout: /, mirror to 12\.2\.3\.4, timeout/ });
  t.match(await add(2, "--action", "snoop", "--next-hop", "2001:db8::9"), { code: 0, stdout: /, snoop to 2001:db8::9, timeout/ });
  t.match(await add(3, "--action", "snoop", "--next-hop", "12.2.3.5"), { code: 1, stderr: /_SESSION_REJECTED: .*12\.2\.3\.5/ });
  t.match(await add(4, "--action", "snoop", "--next-hop", "collector"), {
    code: 2,
    stderr: /^sluice: --next-hop: found "collector"/,
  });
});

t.test("the order of the bytes of IPv4 addresses is the device's", async (t) => {
  const { target } = await device(t);
  const demo = ["--source", "10.0.0.1:40000", "--destination", "10.1.0.1:80", "--timeout", "60", "--target", target];
  // Only the flow of the demonstration has packets.
  t.match(await sluice("session", "add", ...TCP, ...demo, "--id", "1", "--ipv4-order", "host"), { code: 0 });
  t.match(await sluice("session", "add", ...TCP, ...demo, "--id", "2"), { code: 0 });
  t.match((await sluice("session", "watch", "--target", target, "--count", "1", "--json")).stdout, /in_packets/);
  const used = JSON.parse((await sluice("session", "list", "--target", target, "--min-packets", "1", "--json")).stdout);
  t.same(
    used.map((session: { session_id: number }) => session.session_id),
    [2],
  );
});

t.test("a command line that is wrong says which option, with exit code 2", async (t) => {
  const ends = (source: string, destination: string) => ["--source", source, "--destination", destination];
  const good = ends("10.0.0.1:1", "10.0.0.2:2");
  const wrong: [string[], RegExp][] = [
    [TCP, /^sluice: required option '--source <addr:port>' not specified/],
    [
      [...TCP, ...ends("10.0.0.1", "10.0.0.2:2")],
      /option '--source <addr:port>' argument '10\.0\.0\.1' is invalid\. Expected ADDRESS:PORT/,
    ],
    [[...TCP, ...ends("::1:80", "[::2]:2")], /'--source .* Expected ADDRESS:PORT, as in 10\.0\.0\.1:80 or \[2001:db8::1\]:80/],
    [[...TCP, ...ends("10.0.0.1:1", "10.0.0.2:65536")], /'--destination .* is invalid/],
    [
      [...TCP, ...ends("10.0.0.256:1", "10.0.0.2:2")],
      /^sluice: --source: found "10\.0\.0\.256", expected an IPv4 or IPv6 address\n$/,
    ],
    [[...TCP, ...ends("[fe80::1%eth0]:1", "[::2]:2")], /^sluice: --source: found "fe80::1%eth0", expected an/],
    [[...TCP, ...ends("[::1]:1", "10.0.0.2:2")], /^sluice: --destination: found IPv4, expected IPv6 as --source\n$/],
    [[...TCP, ...good, "--in", "1.4095"], /'--in <lif>' argument '1\.4095' is invalid\. Expected a logical interface/],
    [[...TCP, ...good, "--in", "0"], /'--in <lif>' argument '0' is invalid/],
    [[...TCP, ...good, "--in", "65537"], /'--in <lif>' argument '65537' is invalid/],
    [[...TCP, ...good, "--protocol", "sctp"], /Allowed choices are tcp, udp/],
    [[...TCP, ...good, "--action", "allow"], /Allowed choices are forward, drop, mirror, snoop/],
    [[...TCP, ...good, "--action", "mirror"], /^sluice: --action mirror needs --next-hop\n$/],
    [[...TCP, ...good, "--next-hop", "12.2.3.4"], /^sluice: --next-hop goes with --action mirror or snoop, not forward\n$/],
    [[...TCP, ...good, "--id", "-1"], /^sluice: -1 is not a session id/],
    [[...TCP, ...good, "--timeout", "0"], /'--timeout <seconds>' argument '0' is invalid/],
  ];
  for (const [args, expected] of wrong) {
    // Nothing listens there: none of these gets so far.
    const { code, stdout, stderr } = await sluice("session", "add", "--target", "127.0.0.1:1", ...args);
    t.equal(code, 2, args.join(" "));
    t.equal(stdout, "");
    t.match(stderr, expected, args.join(" "));
  }
});

t.test("of sessions that are added at the same moment none is shown with another's id", async (t) => {
  const { target } = await device(t);
  const added = await Promise.all(
    [1, 2, 3, 4, 5].map((port) =>
      sluice(
        "session",
        "add",
        "--target",
        target,
        ...TCP,
        "--source",
        `10.0.0.1:${port}`,
        "--destination",
        "10.1.0.1:80",
        "--json",
      ),
    ),
  );
  const listed = JSON.parse((await sluice("session", "list", "--target", target, "--json")).stdout) as { session_id: number }[];
  t.equal(listed.length, 5);
  const named = added.map(({ stdout }) => (JSON.parse(stdout) as { session_id: number | null }).session_id);
  const known = named.filter((id) => id !== null);
  t.equal(new Set(known).size, known.length, `distinct: ${named}`);
  t.ok(
    known.every((id) => listed.some(({ session_id }) => session_id === id)),
    "and there",
  );
});
