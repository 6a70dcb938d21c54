import t from "tap";
import { AddSessionResponse, AddSessionStatus } from "../../src/control/gen/openoffload.js";
import { AddOutcome } from "../../src/control/status.js";

const { _SESSION_ACCEPTED, _SESSION_REJECTED, _SESSION_TABLE_FULL, _SESSION_TABLE_UNAVAILABLE, _SESSION_ALREADY_EXISTS } =
  AddSessionStatus;

function outcome(...fates: AddSessionStatus[]): AddSessionResponse {
  const result = new AddOutcome();
  fates.forEach((fate, i) => {
    result.add(BigInt(i + 1), fate);
  });
  return AddSessionResponse.decode(result.response(1_700_000_000_000, false));
}

t.test("request_status: full before invalid before existing before accepted; unavailable before all", async (t) => {
  t.equal(outcome().requestStatus, _SESSION_ACCEPTED);
  t.equal(outcome(_SESSION_ACCEPTED).requestStatus, _SESSION_ACCEPTED);
  t.equal(outcome(_SESSION_ALREADY_EXISTS, _SESSION_ACCEPTED).requestStatus, _SESSION_ALREADY_EXISTS);
  t.equal(outcome(_SESSION_ALREADY_EXISTS, _SESSION_REJECTED).requestStatus, _SESSION_REJECTED);
  t.equal(outcome(_SESSION_REJECTED, _SESSION_TABLE_FULL).requestStatus, _SESSION_TABLE_FULL);
  t.equal(outcome(_SESSION_TABLE_FULL, _SESSION_TABLE_UNAVAILABLE).requestStatus, _SESSION_TABLE_UNAVAILABLE);
  const empty = AddSessionResponse.decode(new AddOutcome().response(0, true));
  t.equal(empty.requestStatus, _SESSION_TABLE_UNAVAILABLE, "even for an empty stream");
});

t.test("the bit mask names the first 64, response_error every failure in order", async (t) => {
  const fates = Array.from({ length: 70 }, (_, i) => ([0, 63, 64, 69].includes(i) ? _SESSION_REJECTED : _SESSION_ACCEPTED));
  const response = outcome(...fates);
  t.equal(response.errorStatus, 0x8000_0000_0000_0001n);
  t.same(response.responseError, [
    { sessionId: 1n, errorStatus: 1 },
    { sessionId: 64n, errorStatus: 1 },
    { sessionId: 65n, errorStatus: 1 },
    { sessionId: 70n, errorStatus: 1 },
  ]);
  t.same(response.startTime, { seconds: 1_700_000_000n, nanos: 0 });
});

t.test("however many failures there are, the answer fits a client's 4 MB", async (t) => {
  const result = new AddOutcome();
  for (let i = 0; i < 300_000; i++) {
    result.add(0xffff_ffff_ffff_ffffn, _SESSION_REJECTED, "a sentence");
  }
  const bytes = result.response(Date.now(), false).length;
  t.ok(bytes < 4 * 1024 * 1024 && bytes > 3 * 1024 * 1024, `${bytes} bytes`);
  t.equal(result.sentences.length, 16);
  t.equal(result.failures, 300_000);
});
