// Whether this kernel has a vxlan device.

import { spawnSync } from "node:child_process";
import { noNamespaces } from "./namespaces.js";

/** Why not, or false. */
export const noVxlan: string | false = noNamespaces || reason();

function reason(): string | false {
  // Of this process alone, and gone with the namespace.
  const name = `slx${process.pid}`;
  spawnSync("ip", ["netns", "add", name]);
  const command = ["netns", "exec", name, "ip", "link", "add", "vx0", "type", "vxlan", "id", "1", "dstport", "4789"];
  const made = spawnSync("ip", command, { encoding: "utf8" });
  spawnSync("ip", ["netns", "del", name]);
  return made.status === 0 ? false : `needs the kernel's vxlan device: ${made.stderr.trim()}`;
}
