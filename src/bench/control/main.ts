// The benchmarks of the control plane: what gRPC clients, and the size of the table, cost.

import type { Bench } from "../result.js";
import { blockedBench } from "./blocked.js";
import { pauseBenches } from "./pause.js";
import { listBench, rateBenches } from "./rates.js";
import { agingBench, sizeBench, startBench } from "./size.js";

export const controlBenches: readonly Bench[] = [
  ...rateBenches,
  listBench,
  ...pauseBenches,
  agingBench,
  sizeBench,
  startBench,
  blockedBench,
];
