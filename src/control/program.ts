// A program file: YAML with the API's request messages under their proto field names, addresses as text, enum values with or
// without the leading underscore. The same file goes to a running device (`sluice program`) and into a replay.

import { isNode, LineCounter, parseDocument } from "yaml";
import type { z } from "zod";
import { SluiceError } from "../errors.js";
import type { SessionRequest } from "./gen/openoffload.js";
import { show } from "./program-field.js";
import { keysAt, programSchema } from "./program-schema.js";
import { sessionSchema, toSessionRequest } from "./program-session.js";
import { toWantedTunnel } from "./program-tunnel.js";
import type { Ipv4Order } from "./translate.js";
import type { WantedTunnel } from "./tunnel-client.js";

interface Entry {
  /** In its list, from 0. */
  readonly index: number;
  /** In the file, from 1. */
  readonly line: number;
}

export interface ProgramEntry extends Entry {
  readonly request: SessionRequest;
}

export interface TunnelEntry extends Entry, WantedTunnel {}

/** Tunnels come first, wherever they stand in the file: their packets are what sessions are for. */
export interface Program {
  readonly tunnels: readonly TunnelEntry[];
  readonly sessions: readonly ProgramEntry[];
}

/** Mistakes that one error lists. */
const MAX_MISTAKES = 20;

/** `file`: its name, for errors. `order`: the device's api.ipv4Order. */
export function parseProgram(text: string, file: string, order: Ipv4Order): Program {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, intAsBigInt: true });
  const [broken] = document.errors;
  if (broken !== undefined) {
    // Without the line itself, which may hold a key.
    const [what] = broken.message.split(":\n");
    throw new SluiceError("config", `${file} is not valid YAML: ${what}`);
  }
  const lineOf = (path: readonly PropertyKey[]): number => {
    for (let length = path.length; length > 0; length--) {
      const node = document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) {
        return lines.linePos(node.range[0]).line;
      }
    }
    return 1;
  };
  const content: unknown = document.toJS() ?? {};
  const parsed = programSchema.safeParse(content);
  if (!parsed.success) {
    const mistakes = parsed.error.issues.map((issue) => `${file}:${lineOf(issue.path)}: ${describe(issue, content)}`);
    const rest = mistakes.length > MAX_MISTAKES ? [`and ${mistakes.length - MAX_MISTAKES} more`] : [];
    throw new SluiceError("config", [...mistakes.slice(0, MAX_MISTAKES), ...rest].join("\n"));
  }
  const { tunnels, sessions } = parsed.data;
  return {
    tunnels: (tunnels ?? []).map((tunnel, index) => ({
      index,
      line: lineOf(["tunnels", index]),
      ...toWantedTunnel(tunnel, order),
    })),
    sessions: (sessions ?? []).map((session, index) => ({
      index,
      line: lineOf(["sessions", index]),
      request: toSessionRequest(session, order),
    })),
  };
}

/** One session, its fields as an entry of a program file has them. `names`: what an error calls a field. */
export function parseSession(
  fields: Readonly<Record<string, unknown>>,
  order: Ipv4Order,
  names: Readonly<Record<string, string>>,
): SessionRequest {
  const parsed = sessionSchema.safeParse(fields);
  if (parsed.success) {
    return toSessionRequest(parsed.data, order);
  }
  const mistakes = parsed.error.issues.map((issue) => `${String(issue.path.at(-1))}: ${issue.message}`);
  const named = (field: string): string => names[field] ?? field;
  throw new SluiceError("usage", mistakes.map((text) => text.replace(/\b[a-z]+(_[a-z0-9]+)+\b/g, named)).join("\n"));
}

function describe(issue: z.core.$ZodIssue, content: unknown): string {
  const at = issue.path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : `${text}${text && "."}${String(key)}`),
    "",
  );
  if (issue.code === "unrecognized_keys") {
    return `${at || "the file"}: found ${issue.keys.join(", ")}, expected one of ${keysAt(issue.path).join(", ")}`;
  }
  if (issue.code === "custom") {
    return `${at}: ${issue.message}`;
  }
  const found = issue.path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], content);
  const expected = issue.code === "invalid_type" && issue.expected === "array" ? "a list" : "a map";
  // A key may stand in the wrong place.
  const shown = issue.path.includes("ipsec_tunnel") ? typeof found : show(found);
  return `${at || "the file"}: found ${shown}, expected ${expected}`;
}
