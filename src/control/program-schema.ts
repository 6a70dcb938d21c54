// A program file as a whole, and where in it which keys may stand.

import { z } from "zod";
import { sessionSchema } from "./program-session.js";
import { tunnelSchema } from "./program-tunnel.js";

export const programSchema = z.strictObject({
  sessions: z.array(sessionSchema).nullish(),
  tunnels: z.array(tunnelSchema).nullish(),
});

/** Keys of the map at `path`, for "expected one of". */
export function keysAt(path: readonly PropertyKey[]): string[] {
  let schema: unknown = programSchema;
  for (const key of path) {
    const inner = bare(schema);
    if (inner instanceof z.ZodArray) schema = inner.element;
    else if (inner instanceof z.ZodObject) schema = inner.shape[String(key)];
  }
  const map = bare(schema);
  return map instanceof z.ZodObject ? Object.keys(map.shape) : [];
}

/** Without what is around a map or list. */
function bare(schema: unknown): unknown {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return bare(schema.unwrap());
  return schema instanceof z.ZodPipe ? bare(schema.in) : schema;
}
