// Of commands that send addresses.

import { Option } from "commander";

export interface Ipv4OrderFlag {
  readonly ipv4Order: "s_addr" | "host";
}

export function ipv4Order(): Option {
  return new Option("--ipv4-order <order>", "the device's api.ipv4Order").choices(["s_addr", "host"]).default("s_addr");
}
