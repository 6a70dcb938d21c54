// What all commands that talk to a running device have in common.

import type { Command } from "commander";
import { parseListen } from "../config/listen.js";
import type { SluiceClient } from "../control/client.js";
import type { TlsFiles } from "../control/client-tls.js";
import { SluiceError } from "../errors.js";

const DEFAULT_TARGET = "127.0.0.1:3443";

export interface ClientFlags {
  readonly target: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly json?: true;
}

/** `json`: the command has --json. */
export function clientCommand(parent: Command, name: string, description: string, json: boolean): Command {
  const command = parent
    .command(name)
    .description(description)
    .option("--target <address>", "the device's gRPC server, as host:port", DEFAULT_TARGET)
    .option("--ca <file>", "TLS: certificates (PEM) of the CAs that may have signed the server's; without: plaintext")
    .option("--cert <file>", "mutual TLS: our certificate (PEM)")
    .option("--key <file>", "mutual TLS: the private key of --cert (PEM)");
  return json ? command.option("--json", "print JSON") : command;
}

/** ^C ends any of these commands at once, as a request and not as a failure. */
export async function withClient(flags: ClientFlags, work: (client: SluiceClient) => Promise<void>): Promise<void> {
  const tls = tlsFiles(flags);
  if (parseListen(flags.target) === undefined) {
    throw new SluiceError("usage", `--target ${flags.target}: expected host:port, as in 127.0.0.1:3443 or [::1]:3443`);
  }
  process.once("SIGINT", () => process.exit(0));
  // grpc-js names the server to TLS even by an address, which Node deprecates (DEP0123): nothing that a user could mend.
  process.noDeprecation = true;
  const { SluiceClient } = await import("../control/client.js");
  const client = new SluiceClient(flags.target, tls);
  try {
    await work(client);
  } finally {
    client.close();
  }
}

function tlsFiles({ ca, cert, key }: ClientFlags): TlsFiles | undefined {
  if ((cert === undefined) !== (key === undefined)) {
    const [given, other] = cert === undefined ? ["--key", "--cert"] : ["--cert", "--key"];
    throw new SluiceError("usage", `${given} needs ${other}: a certificate and its private key go together`);
  }
  if (ca !== undefined) return { ca, cert, key };
  if (cert === undefined) return undefined;
  throw new SluiceError("usage", "--cert and --key need --ca: the CA that signed the server's certificate");
}
