// A client process for tests: makes a call with a deadline of 60 ms, and closes its side 100 ms later. Arguments: target, path,
// message in hex. Prints a line when the message is sent, and the status that it is answered with.

import { connect } from "node:http2";

const [target, path, message] = process.argv.slice(2) as [string, string, string];
const bytes = Buffer.from(message, "hex");
const session = connect(`http://${target}`);
const stream = session.request({
  ":method": "POST",
  ":path": path,
  "content-type": "application/grpc",
  te: "trailers",
  "grpc-timeout": "60m",
});
stream.on("response", (headers) => process.stdout.write(`status ${headers["grpc-status"]}\n`)).resume();
stream.on("close", () => session.close());
const prefix = Buffer.alloc(5);
prefix.writeUInt32BE(bytes.length, 1);
stream.write(Buffer.concat([prefix, bytes]), () => process.stdout.write("sent\n"));
setTimeout(() => stream.end(), 100);
