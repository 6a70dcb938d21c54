import t from "tap";
import { inputs } from "../../src/cli/replay-options.js";

t.test("--in names a port and a file, which may hold an equals sign", async (t) => {
  t.same(inputs(["1=a.pcap", "host1=b=c.pcap"]), [
    { port: "1", file: "a.pcap" },
    { port: "host1", file: "b=c.pcap" },
  ]);
});

t.test("--in without port or file, or twice for a port, is refused", async (t) => {
  for (const value of ["a.pcap", "=a.pcap", "1="])
    t.throws(() => inputs([value]), { code: "config", message: /expected PORT=FILE/ }, value);
  t.throws(() => inputs(["1=a.pcap", "1=b.pcap"]), { code: "config", message: /port 1 has a capture already/ });
});
