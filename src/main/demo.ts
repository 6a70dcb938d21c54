// The ports of the embedded default: `npm start` without a configuration plays pcaps/demo.pcap in a loop, in real time.
// Each uplink receives what its host sends, each host port what the application behind it sends.

import { fileURLToPath } from "node:url";

/** From dist/src/main to the package. */
const CAPTURE = fileURLToPath(new URL("../../../pcaps/demo.pcap", import.meta.url));

const APPLICATION = "02:00:00:00:00:aa";
const HOSTS = ["02:00:00:00:00:01", "02:00:00:00:00:02"];

function play(filter: string) {
  return { driver: "file" as const, in: CAPTURE, loop: true, realtime: true, filter };
}

/** As a user would write them under `ports:`. */
export const demoPorts = HOSTS.map((mac, i) => ({
  lif: i + 1,
  ...play(`ether src ${mac}`),
  host: play(`ether src ${APPLICATION} and ether dst ${mac}`),
}));
