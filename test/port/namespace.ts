// Imported first by a test that makes interfaces: as root, runs that test again in a network namespace of its own, which
// ends with it, and ends this process with its result.

import { spawnSync } from "node:child_process";

/** Why the tests that need a namespace are skipped, or false. */
export const noNamespace: string | false = process.getuid?.() === 0 ? false : "needs root";

if (noNamespace === false && process.env.SLUICE_TEST_NAMESPACE === undefined) {
  const env = { ...process.env, SLUICE_TEST_NAMESPACE: "1" };
  const { status } = spawnSync("unshare", ["--net", process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    stdio: "inherit",
    env,
  });
  process.exit(status ?? 1);
}
