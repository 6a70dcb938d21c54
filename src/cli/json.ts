// JSON as the commands print it. 64-bit numbers are JSON numbers where a reader keeps them exact, else strings.

export function json(value: unknown): string {
  const plain = (_: string, inner: unknown) => {
    if (typeof inner !== "bigint") return inner;
    return inner <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(inner) : inner.toString();
  };
  return `${JSON.stringify(value, plain, 2)}\n`;
}
