// Values of options and arguments: text in, or what is expected instead.

import { InvalidArgumentError } from "commander";
import { SluiceError } from "../errors.js";

const UINT32_MAX = 0xffff_ffff;
const UINT64_MAX = 0xffff_ffff_ffff_ffffn;

/** For an option that may be repeated. */
export function append(value: string, before: string[] = []): string[] {
  return [...before, value];
}

export function whole(from: number, to = UINT32_MAX): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < from || value > to) {
      throw new InvalidArgumentError(
        `Expected a whole number ${to === UINT32_MAX ? `of at least ${from}` : `from ${from} to ${to}`}.`,
      );
    }
    return value;
  };
}

/** Seconds, with a fraction. */
export function seconds(from: number, to: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+(\.\d+)?$/.test(text) || value < from || value > to) {
      throw new InvalidArgumentError(`Expected seconds from ${from} to ${to}.`);
    }
    return value;
  };
}

export function sessionId(text: string): bigint {
  const id = parseId(text);
  if (id === undefined) throw new SluiceError("usage", `${text} is not a session id: expected a number`);
  return id;
}

export function tunnelId(text: string): bigint {
  const id = parseId(text);
  if (id === undefined || id === 0n) throw new SluiceError("usage", `${text} is not a tunnel id: expected a number from 1`);
  return id;
}

export function sessionIds(text: string, before: bigint[] = []): bigint[] {
  return [...before, sessionId(text)];
}

export interface IdRange {
  readonly from: bigint;
  readonly to: bigint;
}

export function idRange(text: string): IdRange {
  const [from, to] = text.split("-", 2).map(parseId);
  if (from === undefined || to === undefined || from > to || text.split("-").length !== 2) {
    throw new InvalidArgumentError("Expected two session ids, the lower one first, as in 1-999.");
  }
  return { from, to };
}

function parseId(text: string): bigint | undefined {
  return /^\d{1,20}$/.test(text) && BigInt(text) <= UINT64_MAX ? BigInt(text) : undefined;
}

/** The API's number of "1" or "1.100" (VLAN 100). */
export function lif(text: string): bigint {
  const [, number, vlan = "0"] = /^(\d{1,5})(?:\.(\d{1,4}))?$/.exec(text) ?? [];
  if (number === undefined || Number(number) < 1 || Number(number) > 0xffff || Number(vlan) > 4094) {
    throw new InvalidArgumentError("Expected a logical interface, as in 1, or 1.100 for its VLAN 100.");
  }
  return (BigInt(vlan) << 16n) | BigInt(number);
}

export interface Endpoint {
  readonly text: string;
  /** Not looked at yet. */
  readonly address: string;
  readonly port: bigint;
}

export function endpoint(text: string): Endpoint {
  const [, v6, v4, port] = /^(?:\[([^[\]]*:[^[\]]*)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = v6 ?? v4;
  if (address === undefined || port === undefined || Number(port) > 0xffff) {
    throw new InvalidArgumentError("Expected ADDRESS:PORT, as in 10.0.0.1:80 or [2001:db8::1]:80.");
  }
  return { text, address, port: BigInt(port) };
}
