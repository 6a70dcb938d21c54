// A Config from a YAML file and command line options. The options win: a port replaces the file's port of the same lif
// or name, else it is one more.

import { readFileSync } from "node:fs";
import { LineCounter, parseDocument } from "yaml";
import { SluiceError } from "../errors.js";
import type { Limits } from "./check.js";
import type { Config } from "./config.js";
import { fill } from "./fill.js";
import { type Options, optionsSchema } from "./options.js";
import { parsePortOption } from "./port-option.js";
import { configError, type Problem, schemaProblems } from "./problems.js";

/** What the command line said. */
export interface Given {
  /** Path of the configuration file. */
  readonly file?: string | undefined;
  /** Values of --port. */
  readonly ports?: readonly string[] | undefined;
  readonly grpc?: string | undefined;
  readonly workers?: number | undefined;
}

/** @param fallback what holds without a file and without ports */
export function load(given: Given, fallback: Options, limits: Limits): Config {
  const source = given.file === undefined ? undefined : readSource(given.file);
  const ports = (given.ports ?? []).map(parsePortOption);
  const bare = source === undefined && ports.length === 0;
  const input = merge(bare ? fallback : (source?.value ?? {}), given, ports);
  const locate = (path: Problem["path"]) => place(path, input, ports, given) ?? source?.locate(path) ?? "command line";
  const { data, error } = optionsSchema.safeParse(input);
  if (data === undefined) throw configError(schemaProblems(error.issues, input), locate);
  return fill(data, limits, locate);
}

interface Source {
  readonly value: unknown;
  locate(path: Problem["path"]): string;
}

function readSource(file: string): Source {
  const lines = new LineCounter();
  const document = parseDocument(readText(file), {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
  });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    const problems = document.errors.map((error) => `${at(error.pos[0])}: ${error.message}`);
    throw new SluiceError("config", `configuration: ${problems.join("\n  ")}`);
  }
  return {
    // An empty file is an empty map.
    value: document.toJS() ?? {},
    locate(path) {
      for (let depth = path.length; depth > 0; depth--) {
        const node = document.getIn(path.slice(0, depth), true);
        if (typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range))
          return at(Number(node.range[0]));
      }
      return file;
    },
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SluiceError("config", `reading the configuration file ${file} failed: ${why}`, { cause });
  }
}

function merge(base: unknown, given: Given, ports: readonly Record<string, unknown>[]): unknown {
  // The schema says what is wrong with a file that holds no map.
  if (!isMap(base)) return base;
  const merged: Record<string, unknown> = { ...base };
  if (ports.length > 0) {
    const written: unknown[] = Array.isArray(base.ports) ? base.ports : [];
    const replaced = (port: unknown) => ports.some((other) => isMap(port) && identity(port) === identity(other));
    merged.ports = [...written.filter((port) => !replaced(port)), ...ports];
  }
  if (given.grpc !== undefined)
    merged.grpc = {
      ...(isMap(base.grpc) ? base.grpc : {}),
      listen: given.grpc,
    };
  if (given.workers !== undefined) merged.workers = given.workers;
  return merged;
}

function identity(port: Record<string, unknown>): unknown {
  return port.lif ?? port.name;
}

/** The option that a path came from, or undefined when it came from the file. */
function place(path: Problem["path"], input: unknown, ports: readonly unknown[], given: Given): string | undefined {
  const [top, index] = path;
  if (top === "ports" && isMap(input) && Array.isArray(input.ports) && typeof index === "number") {
    const option = ports.indexOf(input.ports[index]);
    if (option >= 0) return `--port ${given.ports?.[option]}`;
  }
  if (top === "grpc" && index === "listen" && given.grpc !== undefined) return "--grpc";
  if (top === "workers" && given.workers !== undefined) return "--workers";
  return undefined;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
