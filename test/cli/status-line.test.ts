import t from "tap";
import { StatusLine } from "../../src/cli/status-line.js";

t.test("rates are the differences of the counters over the time that has passed", async (t) => {
  const status = new StatusLine({ in: 1000, offloaded: 0, toHost: 900, dropped: 100 }, 5000);
  t.equal(
    status.next({ in: 3000, offloaded: 500, toHost: 1900, dropped: 100 }, 6000),
    "packets/s in     2,000   offloaded       500   to host     1,000   dropped         0",
  );
  t.match(
    status.next({ in: 4000, offloaded: 1500, toHost: 1900, dropped: 100 }, 8000),
    /in {7}500 {3}offloaded {7}500 /,
    "two seconds",
  );
});
