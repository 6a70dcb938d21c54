// api.md 4 to 10 as a client sees it that shares no code with the server: Python's gRPC and protobuf, both by Google, in a
// process of its own against `sluice run` in another. The scenarios are in the *.py beside this file.

import t from "tap";
import { noPython, python, sluiceRun, verdicts } from "./rig.js";

const skip = noPython;
const PORTS = [1, 2, 3, 4, 5].map((lif) => `  - { lif: ${lif}, driver: memory }\n`).join("");
const DEVICE = `ports:\n${PORTS}workers: 1\nsessions: { capacity: 256, defaultTimeout: 2 }\n`;

for (const script of ["add.py", "cancelled.py", "paging.py", "closed.py"]) {
  t.test(script, { skip }, async (t) => {
    const { target } = await sluiceRun(t, DEVICE);
    await verdicts(t, python(script, target));
  });
}
