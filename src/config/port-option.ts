// `--port lif=1,driver=af_packet,interface=eth1,host=veth1`: the keys of a port in sluice.yaml, `host.KEY` for those of
// its host port; `host=IFACE` is short for an af_packet host port on that interface. The schema judges what comes out.

import { SluiceError } from "../errors.js";

type Value = string | number | boolean;

export function parsePortOption(text: string): Record<string, unknown> {
  const port: Record<string, unknown> = {};
  const host: Record<string, Value> = {};
  for (const part of text.split(",")) {
    const [, key, value] = /^([A-Za-z.]+)=(.+)$/.exec(part.trim()) ?? [];
    if (key === undefined || value === undefined) {
      throw new SluiceError(
        "config",
        `--port ${text}: found "${part}", expected key=value as in lif=1,driver=af_packet,interface=eth1`,
      );
    }
    if (key === "host") Object.assign(host, { driver: "af_packet", interface: value });
    else if (key.startsWith("host.")) host[key.slice("host.".length)] = typed(key.slice("host.".length), value);
    else port[key] = typed(key, value);
  }
  return Object.keys(host).length === 0 ? port : { ...port, host };
}

const TEXT = new Set(["driver", "interface", "name", "in", "out", "filter"]);

function typed(key: string, value: string): Value {
  if (TEXT.has(key)) return value;
  if (value === "true" || value === "false") return value === "true";
  return /^\d+$/.test(value) ? Number(value) : value;
}
