// What `sluice replay` was asked for.

import { SluiceError } from "../errors.js";

export interface ReplayOptions {
  readonly inputs: readonly ReplayInput[];
  /** Configuration file; undefined: uplinks 1 and 2 with host ports (REPLAY of config/defaults.ts). */
  readonly config: string | undefined;
  /** Program file. */
  readonly program: string | undefined;
  /** Output directory. */
  readonly out: string;
  /** Undefined: as ReplayRun.seed. */
  readonly seed: number | undefined;
  /** undefined: what the configuration says, or one. */
  readonly workers: number | undefined;
  /** Nothing but JSON on stdout. */
  readonly json: boolean;
}

export interface ReplayInput {
  /** Name of the port on which it arrives: "1", "host1", … */
  readonly port: string;
  readonly file: string;
}

/** The values of --in. */
export function inputs(values: readonly string[]): ReplayInput[] {
  const seen = new Set<string>();
  return values.map((value) => {
    const [, port, file] = /^([^=]+)=(.+)$/.exec(value) ?? [];
    if (port === undefined || file === undefined) {
      throw new SluiceError("config", `--in ${value}: expected PORT=FILE, as in 1=a.pcap or host1=b.pcap`);
    }
    if (seen.has(port))
      throw new SluiceError("config", `--in ${value}: port ${port} has a capture already; merge them into one file`);
    seen.add(port);
    return { port, file };
  });
}
