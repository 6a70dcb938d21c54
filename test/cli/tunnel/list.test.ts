// `sluice tunnel list`, `get`, `stats` and `delete`, each in a process of its own against the device of the demonstration,
// over TCP.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { parseProgram } from "../../../src/control/program.js";
import { device, Running, sluice } from "../command.js";
import { entry, geneve, rig, to, vxlan } from "./rig.js";

const MAIN = fileURLToPath(new URL("../../../src/cli/main.js", import.meta.url));

/** The demonstration's TCP connection, 50 packets/s each way; those of 2 go to where the host hears nothing of them. */
const BUSY = entry(1, "FORWARD", `ingress_interface: 1, ${to("10.1.0.1", 32)}`, geneve(5, "192.0.2.1", "192.0.2.2"));

/** As many tunnels, each with a prefix of its own. */
const many = (count: number, tunnel: string): string[] =>
  Array.from({ length: count }, (_, i) => entry(i + 1, "FORWARD", to(`10.9.${i >> 8}.${i & 255}`, 32), tunnel));

t.test("list says of each tunnel what it is and what it matches, in words", async (t) => {
  const mac = 'mac_match: { destination_mac: "02:00:00:00:00:01" }';
  const { tunnel } = await rig(
    t,
    BUSY,
    entry(
      2,
      "NONE",
      `ingress_interface: "1.100", ${mac}, geneve_match: { vni: 5, ${to("10.0.0.0", 8)} }`,
      "geneve: { geneve_decap: {} }",
    ),
    entry(3, "RECIRCULATE", `ingress_interface: "2.*", ${to("192.0.2.0", 24)}, vxlan_match: {}`, "geneve: { geneve_decap: {} }"),
    entry(4, "FORWARD", "tunnel_id: 3, ipv6_match: {}", vxlan(7, "2001:db8::1", "2001:db8::2")),
    entry(5, "NONE", "ipsec_match: { spi: 256 }", vxlan(8, "2001:db8::1", "2001:db8::2")),
    entry(6, "NONE", "vxlan_match: { vni: 9, mac_match: { source_mac: 02-00-00-00-00-02 } }", "vxlan_decap: {}"),
    entry(7, "NONE", "tunnel_id: 3", geneve(9, "192.0.2.1", "192.0.2.2")),
    "{ tunnel_id: 3, operation: DELETE }",
    entry(8, "NONE", "", geneve(9, "192.0.2.1", "192.0.2.2")),
  );
  const { code, stdout, stderr } = await tunnel("list");
  t.match({ code, stderr }, { code: 0, stderr: "" });
  const [titles, busy, ...rest] = stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/ {2,}/g, " | "));
  t.equal(titles, "tunnel | kind | next | in packets | out packets | dropped | matches");
  t.match(busy, /^1 \| geneve encap \| forward \| \d+ \| \d+ \| 0 \| in 1, to 10\.1\.0\.1$/);
  const gone = "(error: match_criteria.tunnel_id 3 was deleted: the tunnel matches nothing until that is created again)";
  // The demonstration's other packets go through the last one.
  const last = rest.pop();
  t.match(last, /^8 \| geneve encap \| none \| \d+ \| \d+ \| 0 \| all untagged packets$/);
  t.same(rest, [
    "2 | geneve decap | none | 0 | 0 | 0 | in 1.100, mac to 02:00:00:00:00:01, geneve vni 5 with inner to 10.0.0.0/8",
    `4 | vxlan encap | forward | 0 | 0 | 0 | IPv6, after 3 ${gone}`,
    "5 | vxlan encap | none | 0 | 0 | 0 | esp spi 0x100",
    "6 | vxlan decap | none | 0 | 0 | 0 | vxlan vni 9 with inner mac from 02:00:00:00:00:02",
    `7 | geneve encap | none | 0 | 0 | 0 | after 3 ${gone}`,
  ]);
});

t.test("the JSON of get is an entry of a program file, whose tunnel is the same", async (t) => {
  const file = fileURLToPath(new URL("../../../../pcaps/tunnels/program.yaml", import.meta.url));
  const { tunnels } = parseProgram(readFileSync(file, "utf8"), file, "s_addr");
  const { target, tunnel } = await rig(t);
  t.match(await sluice("program", file, "--target", target), { code: 0 });
  const listed = JSON.parse((await tunnel("list", "--json")).stdout) as { tunnel_id: number }[];
  t.same(
    listed.map(({ tunnel_id }) => tunnel_id),
    [10, 20, 30, 31, 40, 41],
  );
  const before = await Promise.all(listed.map(({ tunnel_id }) => tunnel("get", `${tunnel_id}`, "--json")));
  const entries = before.map(({ stdout }) => JSON.parse(stdout).ip_tunnel);
  const again = parseProgram(JSON.stringify({ tunnels: entries }), "get", "s_addr");
  for (const [i, { request }] of again.tunnels.entries()) {
    const wanted = tunnels[i]?.request;
    t.equal(request.tunnelId, wanted?.tunnelId);
    t.equal(request.nextAction, wanted?.nextAction);
    t.equal(request.matchCriteria?.tunnelId, wanted?.matchCriteria?.tunnelId);
    t.equal(request.matchCriteria?.ingressInterface, wanted?.matchCriteria?.ingressInterface);
  }
  t.match(again.tunnels[5]?.options, { udpPort: 8472, innerVlan: 1 });
  const other = await rig(t, ...entries.map((entry) => JSON.stringify(entry)));
  const after = await Promise.all(listed.map(({ tunnel_id }) => other.tunnel("get", `${tunnel_id}`, "--json")));
  t.same(
    after.map(({ stdout }) => JSON.parse(stdout).ip_tunnel),
    entries,
  );
});

t.test("get shows all of a tunnel: headers, options, counters", async (t) => {
  const option = '{ option_class: 0x0102, type: 0x81, data: "cafebabe" }';
  const outer = "outer_ipv4_pair: { source_ip: 192.0.2.1, destination_ip: 192.0.2.2 }";
  const macs = 'inner_mac_pair: { destination_mac: "02:00:00:00:0b:02", source_mac: "02:00:00:00:0b:01" }';
  const encap = `geneve: { geneve_encap: { ${outer}, ${macs}, vni: 5, geneve_option: [ ${option} ] } }`;
  const options = "options: { udp_checksum: FULL, ttl: 9, dscp: 46, dont_fragment: CLEAR, inner_vlan: KEEP }";
  const { tunnel } = await rig(t, entry(3, "FORWARD", `ingress_interface: 2, ${to("10.1.0.0", 16)}`, `${encap}, ${options}`));
  const shown = await tunnel("get", "3");
  t.match(shown, { code: 0, stderr: "" });
  t.equal(
    shown.stdout,
    `tunnel          3
kind            geneve encap
matches         in 2, to 10.1.0.0/16
outer           192.0.2.1 to 192.0.2.2
vni             5
inner macs      from 02:00:00:00:0b:01 to 02:00:00:00:0b:02
protocol        0x6558 (Ethernet)
control bit     clear
option 0        class 0x0102, type 0x81 (critical), 4 bytes: cafebabe
next            forward: straight out
udp port        6081
udp checksum    full
don't fragment  clear
ttl             9
dscp            46
ecn             normal
inner vlan      keep
in packets      0
in bytes        0
out packets     0
out bytes       0
in drops        0
in drop bytes   0
out drops       0
out drop bytes  0
`,
  );
});

t.test("stats count the demonstration's packets, of one tunnel or of all; delete shows the last of them", async (t) => {
  const { target, tunnel } = await rig(t, BUSY, entry(2, "NONE", to("10.9.9.9", 32), vxlan(1, "192.0.2.1", "192.0.2.2")));
  await new Promise((resolve) => setTimeout(resolve, 500));
  const lines = (await tunnel("stats")).stdout.split("\n");
  t.match(lines[0], /^tunnel +in packets +in bytes +out packets +out bytes +in drops +in drop bytes +out drops +out drop bytes$/);
  t.match(lines[1], /^1 +[1-9]\d+ +[\d,]+ +[1-9]\d+ +[\d,]+ +0 +0 +0 +0$/);
  t.match(lines[2], /^2( +0){8}$/);
  const before = JSON.parse((await tunnel("stats", "1", "--json")).stdout);
  const { in_packets, in_bytes, out_bytes } = before.tunnel_counters;
  t.ok(in_packets > 10);
  // Outer Ethernet and IPv4 14 + 20, UDP 8, Geneve 8; the frame inside keeps its own Ethernet header.
  t.equal(out_bytes - in_bytes, in_packets * (20 + 8 + 8 + 14));
  const all = JSON.parse((await tunnel("stats", "--json")).stdout);
  t.match(all, [{ tunnel_id: 1 }, { tunnel_id: 2, tunnel_counters: { in_packets: 0, out_bytes_drops: 0 } }]);
  const last = await tunnel("delete", "1", "--json");
  t.match(last, { code: 0, stderr: "" });
  t.match(JSON.parse(last.stdout), { tunnel_id: 1 });
  t.ok(JSON.parse(last.stdout).tunnel_counters.in_packets >= in_packets);
  t.match((await tunnel("delete", "2")).stdout, /^tunnel .*\n2( +0){8}\n$/);
  t.match(await tunnel("list"), { code: 0, stdout: "no tunnels\n" });
  t.match(await tunnel("stats"), { code: 0, stdout: "no tunnels\n" });
  t.match(await tunnel("list", "--json"), { code: 0, stdout: "[]\n" });
  for (const command of ["get", "stats", "delete"]) {
    t.match(await tunnel(command, "1"), {
      code: 1,
      stdout: "",
      stderr: /^sluice: the device has no tunnel 1; `sluice tunnel list`/,
    });
    t.match(await sluice("tunnel", command, "one", "--target", target), { code: 2, stderr: /one is not a tunnel id/ });
  }
});

t.test("program names each tunnel that was not carried out, beside its entry", async (t) => {
  const { program } = await rig(t);
  const { code, stdout, stderr } = await program(
    BUSY,
    entry(2, "FORWARD", "tunnel_id: 77", geneve(1, "192.0.2.1", "192.0.2.2")),
    entry(3, "FORWARD", "ingress_interface: 9", vxlan(1, "192.0.2.1", "192.0.2.2")),
  );
  t.match({ code, stdout }, { code: 1, stdout: "1 of 3 tunnel requests carried out\n" });
  const [count, ...lines] = stderr.trimEnd().split("\n");
  t.equal(count, "sluice: 2 tunnel requests were not carried out");
  t.equal(lines.length, 2);
  t.match(
    lines[0],
    /^ {2}\S+program\.yaml:3: tunnels\[1\] \(tunnel_id 2\): match_criteria\.tunnel_id 77: there is no such tunnel/,
  );
  t.match(lines[1], /^ {2}\S+program\.yaml:4: tunnels\[2\] \(tunnel_id 3\): match_criteria\.ingress_interface "9" is no port/);
});

t.test("a long list is whole; ^C and a reader that goes away end it without a word", async (t) => {
  const { target, tunnel } = await rig(t, ...many(3000, vxlan(1, "192.0.2.1", "192.0.2.2")));
  const lines = (await tunnel("list")).stdout.trimEnd().split("\n").slice(1);
  t.equal(lines.length, 3000);
  t.same(
    lines.filter((line) => !/^\d+ +vxlan encap +forward +0 +0 +0 +to 10\.9\.\d+\.\d+$/.test(line)),
    [],
  );
  for (const args of [["list"], ["list", "--json"], ["stats"], ["graph", "--limit", "9999"]]) {
    const child = spawn(process.execPath, [MAIN, "tunnel", ...args, "--target", target]);
    let stderr = "";
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    child.stdout.once("data", () => child.stdout.destroy());
    t.equal(await new Promise((resolve) => child.once("close", resolve)), 0, args.join(" "));
    t.equal(stderr, "");
  }
  for (const args of [["list"], ["graph"]]) {
    const running = new Running(["tunnel", ...args, "--target", target]);
    setTimeout(() => running.child.kill("SIGINT"), 500);
    t.match(await running.ended, { code: 0, signal: null, stderr: /^(the picture .*\n)?$/ }, args.join(" "));
  }
});

t.test("a device that is not there is said so", async (t) => {
  const { running, target } = await device(t);
  running.child.kill("SIGTERM");
  await running.ended;
  t.match(await sluice("tunnel", "list", "--target", target), { code: 1, stdout: "", stderr: /^sluice: no device answers at/ });
});
