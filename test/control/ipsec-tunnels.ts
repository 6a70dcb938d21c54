// IPsec tunnels as clients send them, and what the device then has of them.

import {
  EncType,
  type IPSecDec,
  type IPSecEnc,
  type IPSecSAParams,
  type IpTunnelRequest,
} from "../../src/control/gen/tunneloffload.js";
import { refsOf } from "../../src/table/rule-sas.js";
import { change, create, s_addr, type TunnelDevice, tunnel } from "./tunnel-device.js";

/** Key and salt bytes of each suite, by EncType: SP 800-38D and SP 800-38C keys, salts of RFC 4106 section 8.1 and RFC 4309 section 7.1. */
export const LENGTHS: readonly (readonly [key: number, salt: number])[] = [
  [32, 4],
  [32, 4],
  [32, 4],
  [16, 4],
  [16, 4],
  [16, 4],
  [32, 3],
  [32, 3],
  [32, 3],
  [16, 3],
  [16, 3],
  [16, 3],
];

/** Key material that no other text of a test contains. */
export function material(bytes: number, seed = 0xa7): Buffer {
  return Buffer.from(Array.from({ length: bytes }, (_, i) => (seed * (i + 3) * 59 + 131) & 0xff));
}

export function sa(spi: number, encryptionKey = material(36, spi), operation = 1): IPSecSAParams {
  // The client's own: what is sent is not to be wiped by what is received.
  return { spi, encryptionKey: Buffer.from(encryptionKey), operation };
}

type Request = NonNullable<IpTunnelRequest["tunnel"]>;

export function ipsecEnc(changes: Partial<IPSecEnc> = {}): Request {
  const value: IPSecEnc = {
    tunnelType: 1,
    encryptionType: EncType._AES256GCM128,
    ipsecSa: sa(1000),
    tunnelIps: { $case: "ipv4Tunnel", value: { sourceIp: s_addr("192.0.2.1"), destinationIp: s_addr("192.0.2.2") } },
    ...changes,
  };
  return { $case: "ipsecTunnel", value: { ipsec: { $case: "ipsecEnc", value } } };
}

export function ipsecDec(ipsecSas: IPSecSAParams[] = [sa(1000)], changes: Partial<IPSecDec> = {}): Request {
  const value: IPSecDec = { tunnelType: 1, encryptionType: EncType._AES256GCM128, ipsecSas, ...changes };
  return { $case: "ipsecTunnel", value: { ipsec: { $case: "ipsecDec", value } } };
}

/** Of an _UPDATE: nothing is present but what is given. */
export function encUpdate(changes: Partial<IPSecEnc>): IpTunnelRequest {
  return change(1, 2, {
    tunnel: ipsecEnc({ tunnelType: 0, encryptionType: 0, ipsecSa: undefined, tunnelIps: undefined, ...changes }),
  });
}

export function decUpdate(sas: IPSecSAParams[], changes: Partial<IPSecDec> = {}): IpTunnelRequest {
  return change(1, 2, { tunnel: ipsecDec(sas, { tunnelType: 0, encryptionType: 0, ...changes }) });
}

/** What is wrong with each, or undefined. */
export async function send(device: TunnelDevice, ...requests: IpTunnelRequest[]): Promise<(string | undefined)[]> {
  const { responses } = await create(device.client, requests);
  return responses.map(({ error }) => error?.errorString);
}

/** SPI and slot of each SA of a tunnel. */
export function slots(device: TunnelDevice, id = 1): [number, number][] {
  const rule = device.rules.get(BigInt(id))?.rule;
  return rule === undefined ? [] : refsOf(rule).map(({ spi, slot }) => [spi, slot]);
}

/** Key and salt of a tunnel's SAs as the device has them. */
export function keys(device: TunnelDevice, id = 1): string[] {
  return slots(device, id).map(([, slot]) => Buffer.from(device.sas.reveal(slot)).toString("hex"));
}

export const enc = (changes: Partial<IPSecEnc> = {}, more: Partial<IpTunnelRequest> = {}) =>
  tunnel(1, { tunnel: ipsecEnc(changes), ...more });
export const dec = (sas?: IPSecSAParams[], changes: Partial<IPSecDec> = {}, more: Partial<IpTunnelRequest> = {}) =>
  tunnel(1, { tunnel: ipsecDec(sas, changes), ...more });
