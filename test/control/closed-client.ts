// A client process for tests: calls GetClosedSessions, takes the first message, and then does not read any more. Prints a
// line a little later, when flow control has stopped the server. Argument: target.

import { connect } from "node:http2";

const [target] = process.argv.slice(2) as [string];
const stream = connect(`http://${target}`).request({
  ":method": "POST",
  ":path": "/openoffload.v2.SessionTable/GetClosedSessions",
  "content-type": "application/grpc",
  te: "trailers",
});
stream.end(Buffer.from([0, 0, 0, 0, 0]));
stream.once("data", () => {
  stream.pause();
  setTimeout(() => process.stdout.write("stalled\n"), 500);
});
