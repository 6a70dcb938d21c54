// A client process for tests: sends AddSession requests in one burst, faster than grpc-js would, and then neither ends nor
// resets its stream. Arguments: target, count. Prints a line when all is handed to the kernel.

import { connect } from "node:http2";
import { SessionRequest } from "../../src/control/gen/openoffload.js";
import { request } from "./device.js";

const [target, count] = process.argv.slice(2) as [string, string];
const stream = connect(`http://${target}`).request({
  ":method": "POST",
  ":path": "/openoffload.v2.SessionTable/AddSession",
  "content-type": "application/grpc",
  te: "trailers",
});
stream.on("response", () => process.stderr.write("open-stream was answered\n"));
const frames: Buffer[] = [];
for (let id = 1; id <= Number(count); id++) {
  const message = SessionRequest.encode(request(id)).finish();
  // gRPC's length-prefixed message: a byte for compression, four for the length.
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  frames.push(prefix, Buffer.from(message));
}
stream.write(Buffer.concat(frames), () => process.stdout.write("sent\n"));
