// `npm start -- ARGS`: prepares, then is `sluice run ARGS`, in this one process: signals and the exit code are the device's.

import { join } from "node:path";
import { prepare } from "./prepare.mjs";
import { root } from "./step.mjs";

prepare({ tests: false });
const main = join(root, "dist/src/cli/main.js");
process.argv.splice(1, 1, main, "run");
await import(main);
