// Captures by others through a device without sessions: whatever is in them goes to the host port, or from it, as it came.
// scapy reads both sides.

import { basename, join } from "node:path";
import t from "tap";
import { captures, noScapy, noTshark, type Packet, python, scapyReadAll, writePcap } from "../port/rig.js";
import { run } from "../replay/run.js";

const MAX = 9216;
const skip = captures.length === 0 ? "needs ../shared/captures" : noScapy;

/** Link type of each capture, read by scapy. */
function linkTypes(paths: readonly string[]): number[] {
  const script = `
import json, sys
from scapy.utils import RawPcapReader, RawPcapNgReader
def link(path):
    r = RawPcapReader(path)
    if isinstance(r, RawPcapNgReader):
        next(iter(r))
        return r.interfaces[0][0]
    return r.linktype
print(json.dumps([link(p) for p in sys.argv[1:]]))
`;
  return JSON.parse(python(script, ...paths)) as number[];
}

t.test(
  "every Ethernet capture comes out of the right port byte for byte, in order, with its length and time",
  { skip },
  async (t) => {
    const links = linkTypes(captures);
    const ethernet = captures.filter((_, i) => links[i] === 1);
    t.ok(ethernet.length > 30, `${ethernet.length} of ${captures.length} captures are of Ethernet`);
    const before = scapyReadAll(ethernet);
    t.ok(
      before.flat().some(({ wire }) => wire > MAX),
      "one has a frame that is too long",
    );

    // What arrives where, and where it has to leave: on either uplink, then from the host ports, both at once.
    const ways = [
      { arrives: ["1"], leaves: ["host1"] },
      { arrives: ["2"], leaves: ["host2"] },
      { arrives: ["host1", "host2"], leaves: ["1", "2"] },
    ];
    const sent: { name: string; file: string; expected: Packet[] }[] = [];
    for (const [i, file] of ethernet.entries()) {
      const all = before[i] as Packet[];
      const fitting = all.filter(({ wire }) => wire <= MAX);
      for (const { arrives, leaves } of ways) {
        const name = `${basename(file)} on ${arrives.join(" and ")}`;
        const { report, out, problems } = await run(t, { inputs: arrives.map((port) => [port, file] as const) });
        const count = (port: string, field: "rx_packets" | "rx_bytes" | "tx_packets" | "tx_bytes") =>
          report.ports.find((each) => each.name === port)?.[field];
        const bytes = (packets: Packet[]) => packets.reduce((sum, { wire }) => sum + wire, 0);
        t.same(problems, [], name);
        for (const port of arrives) {
          t.equal(count(port, "rx_packets"), all.length, `${name}: received`);
          t.equal(count(port, "rx_bytes"), bytes(all), `${name}: bytes received`);
        }
        for (const port of leaves) {
          t.equal(count(port, "tx_packets"), fitting.length, `${name}: sent`);
          t.equal(count(port, "tx_bytes"), bytes(fitting), `${name}: bytes sent`);
          if (fitting.length > 0)
            sent.push({ name: `${name}, out of ${port}`, file: join(out, `${port}.pcap`), expected: fitting });
        }
        t.equal(report.totals.out + report.totals.to_host, fitting.length * arrives.length, `${name}: nothing elsewhere`);
        const oversize = report.reasons.find((reason) => reason.name === "oversize")?.packets ?? 0;
        t.equal(oversize, (all.length - fitting.length) * arrives.length, `${name}: oversize`);
        t.equal(report.totals.dropped, oversize, `${name}: nothing else is dropped`);
      }
    }
    const after = scapyReadAll(sent.map(({ file }) => file));
    for (const [i, { name, expected }] of sent.entries()) t.same(after[i], expected, name);
  },
);

t.test("tshark, too, finds the frames and their times unchanged", { skip: skip || noTshark }, async (t) => {
  const file = captures.find((path) => path.endsWith("tcpdump-geneve.pcap")) as string;
  const { out } = await run(t, { inputs: [["1", file]] });
  const script = `
import subprocess, sys
for path in sys.argv[1:]:
    fields = [x for f in ("frame.time_epoch", "frame.len", "frame.protocols") for x in ("-e", f)]
    print(subprocess.run(["tshark", "-r", path, "-T", "fields", *fields], capture_output=True, text=True, check=True).stdout, end="\\0")
`;
  const [before, after] = python(script, file, join(out, "host1.pcap")).split("\0");
  t.ok(before?.includes("geneve"));
  t.equal(after, before);
});

t.test("a capture of another link type is refused by name, as is a file that is none", async (t) => {
  const directory = t.testdir({
    "raw.pcap": writePcap([{ sec: 1, nsec: 0, data: new Uint8Array(40) }], 101),
    "text.pcap": "not a capture at all, though it is long enough to be the header of one",
    "empty.pcap": "",
  });
  for (const [name, why] of [
    ["raw.pcap", /raw\.pcap failed: its link type is RAW .*only Ethernet/],
    ["text.pcap", /text\.pcap failed: unknown file format; give a pcap or pcapng file of Ethernet frames/],
    ["empty.pcap", /empty\.pcap failed: truncated/],
    ["none.pcap", /none\.pcap failed: .*No such file/],
  ] as const) {
    await t.rejects(
      run(t, { inputs: [["1", join(directory, name)]] }),
      { name: "SluiceError", code: "file", message: why },
      name,
    );
  }
});

t.test("a capture without packets is no error: nothing comes out, and sessions begin at the epoch", async (t) => {
  const file = join(t.testdir({ "nothing.pcap": writePcap([]) }), "nothing.pcap");
  const { report, problems } = await run(t, {
    inputs: [["1", file]],
    program: `sessions:
  - { session_id: 1, in_lif: 1, source_ip: 10.0.0.1, destination_ip: 10.1.0.1, protocol_id: UDP, action: { action_type: DROP } }`,
  });
  t.same(problems, []);
  t.equal(report.totals.in, 0);
  t.match(report.sessions, [{ session_id: 1, session_close_code: "_NOT_CLOSED", start_time: 0 }]);
});
