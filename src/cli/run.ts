// `sluice run`: a device until a signal ends it.

import { availableParallelism } from "node:os";
import { isatty } from "node:tty";
import { EMBEDDED } from "../config/defaults.js";
import { type Given, load } from "../config/load.js";
import { remarks } from "../config/remarks.js";
import { FRAME_LIMIT } from "../memory/frames.js";
import { StatusLine } from "./status-line.js";

/** With the exit code of a process that they end. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;
/** Milliseconds within which a second signal may be the first one again. */
const ECHO = 300;

export async function run(given: Given): Promise<void> {
  const demonstration = given.file === undefined && given.ports === undefined;
  const config = load(given, EMBEDDED, { maxFrame: FRAME_LIMIT });
  for (const remark of remarks(config, availableParallelism())) process.stderr.write(`sluice: ${remark}\n`);

  const hangUp = new HangUp();
  const ended = Promise.race([signalled(), hangUp.terminalGone]);
  // Not before the configuration is known to be right: this brings the addon and all the rest.
  const [{ startDevice }, { createLog }] = await Promise.all([import("../main/device.js"), import("../main/log.js")]);
  const device = await startDevice(config, createLog(config.log.level));
  process.stdout.write(`sluice: gRPC on ${device.address}, ${config.ports.length} ports, ${config.workers} workers\n`);
  if (demonstration) process.stdout.write(nextStep(device.address));
  hangUp.otherwise(() => device.reload());

  const counts = () => device.totals().totals;
  const status = new StatusLine(counts(), performance.now());
  const tick = () => process.stdout.write(`${status.next(counts(), performance.now())}\n`);
  const timer = demonstration || process.stdout.isTTY ? setInterval(tick, 1000) : undefined;
  await ended;
  clearInterval(timer);
  await device.stop();
  hangUp.die();
  process.exit(0);
}

/** Resolves at the first SIGINT or SIGTERM; the second ends the process at once. */
function signalled(): Promise<void> {
  // On a terminal ^C reaches us twice under `npm start`: from the terminal, and passed on by npm.
  const echo = process.env.npm_lifecycle_event === "start" ? ECHO : 0;
  return new Promise((resolve) => {
    let first: number | undefined;
    for (const [signal, code] of Object.entries(SIGNALS)) {
      process.on(signal, () => {
        if (first !== undefined && performance.now() - first >= echo) process.exit(code);
        first ??= performance.now();
        resolve();
      });
    }
  });
}

/**
 * SIGHUP: read the certificates again; but when it says that the terminal is gone that the device was started from, the device
 * ends as it does by SIGTERM. Before it runs there is nothing to read again.
 */
class HangUp {
  readonly terminalGone: Promise<void>;
  #gone = false;
  #reload = () => {};

  constructor() {
    const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));
    this.terminalGone = new Promise((resolve) => {
      process.on("SIGHUP", () => {
        this.#gone = terminals.some((descriptor) => !isatty(descriptor));
        if (this.#gone) resolve();
        else this.#reload();
      });
    });
  }

  otherwise(reload: () => void): void {
    this.#reload = reload;
  }

  /** Ends the process if its terminal is gone: by the signal, as exit() aborts in Node 20 when it cannot reset the terminal. */
  die(): void {
    if (!this.#gone) return;
    process.removeAllListeners("SIGHUP");
    process.kill(process.pid, "SIGHUP");
  }
}

function nextStep(address: string): string {
  return `sluice: a demonstration: pcaps/demo.pcap arrives over and over, and no session knows its packets.
sluice: in another terminal, \`npx sluice program pcaps/demo.yaml --target ${address}\` offloads its flow.
`;
}
