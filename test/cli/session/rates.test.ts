import t from "tap";
import { Rates } from "../../../src/cli/session/rates.js";
import type { SessionResponse } from "../../../src/control/gen/openoffload.js";
import { missingSession } from "../../../src/control/translate.js";

function session(id: number, packets: number, start = 1): SessionResponse {
  const [inPackets, outPackets] = [BigInt(packets), BigInt(packets * 2)];
  const startTime = { seconds: BigInt(start), nanos: 0 };
  return {
    ...missingSession(BigInt(id)),
    startTime,
    inPackets,
    outPackets,
    inBytes: inPackets * 100n,
    outBytes: outPackets * 50n,
  };
}

t.test("rates are what a session counted between two looks at it, over the time between", async (t) => {
  const rates = new Rates();
  rates.begin(0);
  rates.add(session(1, 10), 100);
  rates.begin(1000);
  t.match(rates.add(session(1, 30), 2100), { inPackets: 10, inBits: 8000, outPackets: 20, outBits: 8000 }, "two seconds");
  rates.begin(3000);
  t.match(rates.add(session(1, 30), 3100), { inPackets: 0, inBits: 0, outPackets: 0, outBits: 0 });
});

t.test("a new session has counted since the round before, also under an id that was another's", async (t) => {
  const rates = new Rates();
  rates.begin(5000);
  rates.add(session(1, 1000), 5000);
  rates.begin(7000);
  t.match(rates.add(session(2, 8), 7000), { inPackets: 4 });
  t.match(rates.add(session(1, 6, 99), 7000), { inPackets: 3 }, "not less than nothing");
});

t.test("of thousands of sessions each has its own", async (t) => {
  const rates = new Rates();
  rates.begin(0);
  for (let id = 1; id <= 5000; id++) rates.add(session(id, id), 0);
  rates.begin(1000);
  let wrong = 0;
  for (let id = 5000; id >= 1; id--) if (rates.add(session(id, 3 * id), 1000).inPackets !== 2 * id) wrong++;
  t.equal(wrong, 0);
});
