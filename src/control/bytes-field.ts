// Addresses in bytes fields: raw, or as hexadecimal characters with or without colons (api.md 4).

export const MAC_BYTES = 6;
export const IPV6_BYTES = 16;

/** The `length` bytes that the field stands for, or undefined. */
export function bytesField(field: Buffer, length: number): Uint8Array | undefined {
  if (field.length === length) return field;
  // Two characters each, and a colon after each but the last.
  if (field.length < 2 * length || field.length > 3 * length - 1) return undefined;
  const hex = field.toString("latin1").replaceAll(":", "");
  return hex.length === 2 * length && /^[0-9a-f]+$/i.test(hex) ? Buffer.from(hex, "hex") : undefined;
}
