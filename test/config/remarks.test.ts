import t from "tap";
import { fill } from "../../src/config/fill.js";
import type { Options } from "../../src/config/options.js";
import { remarks } from "../../src/config/remarks.js";

const PAIR: Options = {
  ports: [
    { lif: 1, driver: "memory" },
    { lif: 2, driver: "memory" },
  ],
};

function said(options: Options): string[] {
  return remarks(fill({ ...PAIR, ...options }, { maxFrame: 9216 }), 4);
}

t.test("a configuration without oddities is not remarked on", async (t) => {
  t.same(said({ workers: 4, pin: [0, 3] }), []);
});

t.test("more workers than processors", async (t) => {
  t.match(said({ workers: 5 }), [/^workers: 5 on 4 processors/]);
});

t.test("a processor that is not there", async (t) => {
  t.match(said({ pin: [1, 4] }), [/^pin: there is no processor 4/]);
});

t.test("an uplink that can send its misses nowhere", async (t) => {
  t.match(said({ ports: [{ lif: 3, driver: "memory" }] }), [/^port 3 has neither a pair nor a host port/]);
});

t.test("what makes IPsec weaker than it should be", async (t) => {
  t.match(said({ api: { revealKeys: true } }), [
    /^api.revealKeys: whoever reads tunnels over gRPC at 127.0.0.1:3443 gets the keys/,
  ]);
  t.match(said({ ipsec: { replayWindow: 0 } }), [/^ipsec.replayWindow: 0: what was captured once is accepted again/]);
});
