// stdout for output of any length: written no faster than it is read.

import { once } from "node:events";

export async function write(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, "drain");
}
