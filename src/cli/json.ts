// JSON as the commands print it. 64-bit numbers are JSON numbers where a reader keeps them exact, else strings.

export function json(value: unknown): string {
  return `${JSON.stringify(value, plain, 2)}\n`;
}

/** One line, for output that does not end: a JSON object each (NDJSON). */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value, plain)}\n`;
}

function plain(_: string, value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();
}
