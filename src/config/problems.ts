// Everything that is wrong with a configuration, in one error: for each place its path, what was found there, and what
// is expected.

import type { z } from "zod";
import { SluiceError } from "../errors.js";
import { LATER, LATER_DRIVERS } from "./options.js";

export interface Problem {
  readonly path: readonly (string | number)[];
  /** What was found and what is expected, without the path. */
  readonly text: string;
}

/** @param locate where a path stands in the file ("sluice.yaml:3:12"), when there is a file */
export function configError(problems: readonly Problem[], locate?: (path: Problem["path"]) => string): SluiceError {
  const lines = problems.map(({ path, text }) => {
    const place = locate === undefined ? "" : `${locate(path)}: `;
    return `${place}${path.length === 0 ? "" : `${pathText(path)}: `}${text}`;
  });
  const [only] = lines;
  if (lines.length === 1 && only !== undefined) return new SluiceError("config", `configuration: ${only}`);
  return new SluiceError("config", `configuration: ${lines.length} problems\n${lines.map((line) => `  ${line}`).join("\n")}`);
}

/** The schema's complaints as problems; `input` is what it was given. */
export function schemaProblems(issues: readonly z.core.$ZodIssue[], input: unknown): Problem[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
    if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey([...path, key], issue.message));
    const found = path.reduce<unknown>((value, key) => (isMap(value) ? value[key] : undefined), input);
    if (path.at(-1) === "driver" && typeof found === "string" && LATER_DRIVERS.has(found)) {
      return [{ path, text: `driver ${found} is not supported yet; expected ${issue.message}` }];
    }
    return [{ path, text: foundExpected(found, issue.message) }];
  });
}

export function foundExpected(found: unknown, expected: string): string {
  return found === undefined ? `missing, expected ${expected}` : `found ${show(found)}, expected ${expected}`;
}

function unknownKey(path: (string | number)[], expected: string): Problem {
  const name = path.filter((part) => typeof part === "string").join(".");
  return { path, text: LATER.has(name) ? "not supported yet" : `unknown key, expected ${expected}` };
}

/** ports[0].driver */
export function pathText(path: Problem["path"]): string {
  return path.map((part, i) => (typeof part === "number" ? `[${part}]` : i === 0 ? part : `.${part}`)).join("");
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function isMap(value: unknown): value is Record<string | number, unknown> {
  return typeof value === "object" && value !== null;
}
