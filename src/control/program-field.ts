// What the fields of a program file may be: parsers of single values, each with the sentence for what is not one.

import { z } from "zod";
import { parseAddress, parseMac } from "../config/address.js";
import { MAC_BYTES } from "./bytes-field.js";

export const INT32_MAX = 0x7fff_ffff;
export const UINT32_MAX = 0xffff_ffff;
export const UINT64_MAX = 0xffff_ffff_ffff_ffffn;
export const PORT_MAX = 0xffff;
export const IPV6_BYTES = 16;
export const IPV4_BYTES = 4;

type Parse<T> = (value: unknown) => T | undefined;

/** How a value of the file is shown in an error. */
export function show(value: unknown): string {
  if (value === undefined || value === null) {
    return "nothing";
  }
  if (typeof value === "object") {
    return Array.isArray(value) ? "a list" : "a map";
  }
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** Must be there. */
export function required<T>(expected: string, parse: Parse<T>) {
  return z.unknown().transform((value, context): T => {
    const parsed = parse(value);
    if (parsed === undefined) {
      context.issues.push({ code: "custom", message: `found ${show(value)}, expected ${expected}`, input: value });
      return z.NEVER;
    }
    return parsed;
  });
}

/** Undefined when it is not there. */
export function optional<T>(expected: string, parse: Parse<T>) {
  return required(expected, parse).optional();
}

export function integer(max: bigint): Parse<bigint> {
  return (value) => (typeof value === "bigint" && value >= 0n && value <= max ? value : undefined);
}

export function number(max: number): Parse<number> {
  const parse = integer(BigInt(max));
  return (value) => {
    const parsed = parse(value);
    return parsed === undefined ? undefined : Number(parsed);
  };
}

/** By name, with or without what its names begin with, or by number. */
export function enumeration(values: Readonly<Record<string, string | number>>, max: number, prefix = "_"): Parse<number> {
  const byNumber = number(max);
  return (value) => {
    if (typeof value !== "string") {
      return byNumber(value);
    }
    const found = [value, `${prefix}${value}`].find((name) => Object.hasOwn(values, name) && typeof values[name] === "number");
    return found === undefined ? undefined : (values[found] as number);
  };
}

/** Bytes in network order. */
export function address(...lengths: number[]): Parse<Uint8Array> {
  return (value) => {
    const bytes = typeof value === "string" ? parseAddress(value) : undefined;
    return bytes !== undefined && lengths.includes(bytes.length) ? Uint8Array.from(bytes) : undefined;
  };
}

export function mac(): Parse<Uint8Array> {
  return (value) => {
    const bytes = typeof value === "string" ? parseMac(value) : undefined;
    return bytes?.length === MAC_BYTES ? Uint8Array.from(bytes) : undefined;
  };
}

/** Hexadecimal digits as text: YAML takes 01020304 without quotes for a number. */
export function hex(): Parse<Uint8Array> {
  return (value) =>
    typeof value === "string" && value.length % 2 === 0 && /^[0-9a-f]*$/i.test(value) ? Buffer.from(value, "hex") : undefined;
}

/** As hex(); what is no such text is not shown. */
export function key() {
  const parse = hex();
  return z
    .unknown()
    .transform((value, context): Uint8Array => {
      const parsed = parse(value);
      if (parsed === undefined) {
        const message = "found something else, expected hexadecimal digits in quotes";
        context.issues.push({ code: "custom", message, input: undefined });
        return z.NEVER;
      }
      return parsed;
    })
    .optional();
}

export function flag(): Parse<boolean> {
  return (value) => (typeof value === "boolean" ? value : undefined);
}
