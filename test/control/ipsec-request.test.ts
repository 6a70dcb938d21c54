// Requests for IPsec tunnels: what is taken, and for each mistake its code and sentence.

import t from "tap";
import {
  EncType,
  IPSecError,
  type IpTunnelRequest,
  MatchError,
  type TunnelAdditionError,
} from "../../src/control/gen/tunneloffload.js";
import { EspMode } from "../../src/table/sa.js";
import { dec, enc, keys, LENGTHS, material, sa, send, slots } from "./ipsec-tunnels.js";
import { change, create, criteria, device, s_addr } from "./tunnel-device.js";

const suites = LENGTHS.map((lengths, encryption) => ({ name: EncType[encryption] as string, encryption, lengths }));

/** As the data path numbers them: aead/aead.ts SuiteBits. */
const SUITE_BITS = [1, 5, 9, 0, 4, 8, 3, 7, 11, 2, 6, 10];

t.test("every suite takes each form of its key, raw or hexadecimal, with the salt or without", async (t) => {
  const made = await device(t);
  for (const { name, encryption, lengths } of suites) {
    const [key, salt] = lengths;
    const whole = material(key + salt, encryption + 1);
    const bare = whole.subarray(0, key);
    const noSalt = Buffer.concat([bare, Buffer.alloc(salt)]);
    const forms: [string, Buffer, Buffer][] = [
      ["key and salt", whole, whole],
      ["key alone", bare, noSalt],
      ["key and salt in hexadecimal", Buffer.from(whole.toString("hex")), whole],
      ["key alone in hexadecimal", Buffer.from(bare.toString("hex")), noSalt],
      ["hexadecimal in capitals", Buffer.from(whole.toString("hex").toUpperCase()), whole],
    ];
    const all = forms.flatMap(([, sent], i) => [
      enc({ encryptionType: encryption, ipsecSa: sa(1000, sent) }, { tunnelId: BigInt(2 * i + 1) }),
      dec([sa(1000, sent)], { encryptionType: encryption }, { tunnelId: BigInt(2 * i + 2) }),
    ]);
    t.same(
      await send(made, ...all),
      all.map(() => undefined),
    );
    for (const [i, [form, , kept]] of forms.entries()) {
      for (const id of [2 * i + 1, 2 * i + 2]) {
        t.same(keys(made, id), [kept.toString("hex")], `${name}, ${form}`);
        const info = made.sas.info(slots(made, id)[0]?.[1] ?? -1);
        t.equal(info.suite, SUITE_BITS[encryption], `${name}, ${form}`);
      }
    }
    await send(made, ...all.map(({ tunnelId }) => change(tunnelId, 3)));
  }
});

t.test("a key of any other length, or that is no hexadecimal, is INVALID_KEY; the sentence has no byte of it", async (t) => {
  const made = await device(t);
  for (const { name, encryption, lengths } of suites) {
    const [key, salt] = lengths;
    const right = new Set([key, key + salt, 2 * key, 2 * (key + salt)]);
    const requests: IpTunnelRequest[] = [];
    for (let length = 1; length <= 80; length++) {
      if (!right.has(length))
        requests.push(enc({ encryptionType: encryption, ipsecSa: sa(1000, material(length)) }, { tunnelId: BigInt(length) }));
    }
    for (const length of [2 * key, 2 * (key + salt)]) {
      const text = Buffer.from(material(length / 2).toString("hex"));
      text[length - 1] = 0x67; // g
      requests.push(enc({ encryptionType: encryption, ipsecSa: sa(1000, text) }));
    }
    const { responses } = await create(made.client, requests);
    t.equal(responses.length, requests.length);
    for (const { error } of responses) {
      t.match(
        error?.errorString,
        /^ipsec_enc\.ipsec_sa\.encryption_key has \d+ bytes(: its suite takes \d+ \(key and salt\) or \d+ \(key alone\), or twice as many hexadecimal characters|, as many as hexadecimal characters would be, and is not hexadecimal)$/,
        name,
      );
      t.equal(error?.errorMessage?.ipsecError, IPSecError.INVALID_KEY);
    }
  }
  t.equal(made.rules.size, 0);
  t.equal(made.sas.size, 0);
});

t.test("each mode, IPv4 and IPv6; tunnel IPs beside a transport mode are ignored", async (t) => {
  const made = await device(t);
  const v6 = { $case: "ipv6Tunnel" as const, value: { sourceIp: Buffer.alloc(16, 1), destinationIp: Buffer.alloc(16, 2) } };
  const broken = { $case: "ipv6Tunnel" as const, value: { sourceIp: Buffer.alloc(3), destinationIp: Buffer.alloc(0) } };
  for (const mode of [EspMode.transport, EspMode.tunnel, EspMode.transportNatt, EspMode.tunnelNatt]) {
    const tunnelMode = mode === EspMode.tunnel || mode === EspMode.tunnelNatt;
    for (const ips of tunnelMode ? [ipsecIps(), v6] : [undefined, ipsecIps(), broken]) {
      t.same(await send(made, enc({ tunnelType: mode as number, tunnelIps: ips })), [undefined]);
      const tunnel = made.rules.get(1n)?.rule.tunnel;
      t.match(tunnel, { kind: "ipsec-enc", mode, outer: tunnelMode ? { source: { length: ips === v6 ? 16 : 4 } } : undefined });
      await send(made, change(1, 3));
    }
  }
});

function ipsecIps() {
  return { $case: "ipv4Tunnel" as const, value: { sourceIp: s_addr("192.0.2.1"), destinationIp: s_addr("192.0.2.2") } };
}

t.test("an encrypting SA's operation is ignored; of a new tunnel's SAs, all but _DELETE add", async (t) => {
  const made = await device(t);
  for (const operation of [0, 1, 2, 3, 9]) {
    t.same(await send(made, enc({ ipsecSa: sa(1000, undefined, operation) })), [undefined]);
    await send(made, change(1, 3));
  }
  t.same(await send(made, dec([sa(5, undefined, 0), sa(6, undefined, 1), sa(7, undefined, 2)])), [undefined]);
  t.same(
    slots(made).map(([spi]) => spi),
    [5, 6, 7],
  );
});

t.test("a SPI twice in one list: with the same key once, with another INVALID_KEY", async (t) => {
  const made = await device(t);
  t.same(await send(made, dec([sa(5), sa(6), sa(5)])), [undefined]);
  t.equal(made.sas.size, 2);
  await send(made, change(1, 3));
  for (const operation of [0, 1, 2]) {
    const { responses } = await create(made.client, [dec([sa(5), sa(5, material(36, 9), operation)])]);
    t.match(responses[0]?.error?.errorString, /^ipsec_dec.ipsec_sas\[1\]: SPI 5 has another key already: take another SPI/);
    t.equal(responses[0]?.error?.errorMessage?.ipsecError, IPSecError.INVALID_KEY);
  }
  t.equal(made.sas.size, 0);
});

const { INVALID_KEY, NON_SUPPORTED_ENCRYPTION, NON_SUPPORTED_TUNNEL_TYPE, IPSEC_MISSING_FIELDS } = IPSecError;
const ipsec = (ipsecError: IPSecError) => ({ ipsecError });
const match = (matchError: MatchError) => ({ matchError });
const matching = (header: NonNullable<IpTunnelRequest["matchCriteria"]>["match"]) => ({
  matchCriteria: criteria({ match: header }),
});
const inside = { vni: 0, macMatch: undefined, protocolType: 0, ipMatch: undefined };

const CASES: readonly [IpTunnelRequest, Partial<TunnelAdditionError>, RegExp][] = [
  [
    enc({}, { tunnel: { $case: "ipsecTunnel", value: { ipsec: undefined } } }),
    ipsec(IPSEC_MISSING_FIELDS),
    /^ipsec_tunnel is empty: give ipsec_enc or ipsec_dec$/,
  ],
  [enc({ ipsecSa: undefined }), ipsec(IPSEC_MISSING_FIELDS), /^ipsec_enc.ipsec_sa is missing: give the SPI and the key/],
  [enc({ ipsecSa: sa(0) }), ipsec(IPSEC_MISSING_FIELDS), /^ipsec_enc.ipsec_sa.spi is missing: give the SPI, from 1$/],
  [
    enc({ ipsecSa: sa(7, Buffer.alloc(0)) }),
    ipsec(IPSEC_MISSING_FIELDS),
    /^ipsec_enc.ipsec_sa.encryption_key is missing: give the key of SPI 7$/,
  ],
  [
    enc({ tunnelIps: undefined }),
    ipsec(IPSEC_MISSING_FIELDS),
    /^ipsec_enc has neither ipv4_tunnel nor ipv6_tunnel: give the addresses of the outer header$/,
  ],
  [
    enc({ tunnelType: 3, tunnelIps: { $case: "ipv4Tunnel", value: { sourceIp: 1, destinationIp: 0 } } }),
    ipsec(IPSEC_MISSING_FIELDS),
    /^ipsec_enc.ipv4_tunnel.destination_ip is missing/,
  ],
  [
    enc({ tunnelIps: { $case: "ipv6Tunnel", value: { sourceIp: Buffer.alloc(5), destinationIp: Buffer.alloc(16, 1) } } }),
    ipsec(IPSEC_MISSING_FIELDS),
    /^ipsec_enc.ipv6_tunnel.source_ip has 5 bytes; give 16/,
  ],
  [
    enc({ tunnelType: 4 as number }),
    ipsec(NON_SUPPORTED_TUNNEL_TYPE),
    /^ipsec_enc.tunnel_type 4 is none of TRANSPORT \(0\), TUNNEL \(1\), TRANSPORT_NAT_TRAVERSAL \(2\), TUNNEL_NAT_TRAVERSAL \(3\)$/,
  ],
  [
    enc({ encryptionType: 12 as number }),
    ipsec(NON_SUPPORTED_ENCRYPTION),
    /^ipsec_enc.encryption_type 12 is none of the 12 of EncType, _AES256GCM64 \(0\) to _AES128CCM128 \(11\)$/,
  ],
  [dec([]), ipsec(IPSEC_MISSING_FIELDS), /^ipsec_dec.ipsec_sas is empty: give at least one SA, its SPI and its key$/],
  [dec([sa(5), sa(0)]), ipsec(IPSEC_MISSING_FIELDS), /^ipsec_dec.ipsec_sas\[1\].spi is missing/],
  [
    dec([sa(5, Buffer.alloc(0))]),
    ipsec(IPSEC_MISSING_FIELDS),
    /^ipsec_dec.ipsec_sas\[0\].encryption_key is missing: give the key of SPI 5$/,
  ],
  [dec([sa(5, material(7))]), ipsec(INVALID_KEY), /^ipsec_dec.ipsec_sas\[0\].encryption_key has 7 bytes/],
  [dec([sa(5)], { tunnelType: -1 as number }), ipsec(NON_SUPPORTED_TUNNEL_TYPE), /^ipsec_dec.tunnel_type -1 is none of/],
  [dec([sa(5)], { encryptionType: 99 as number }), ipsec(NON_SUPPORTED_ENCRYPTION), /^ipsec_dec.encryption_type 99 is none/],
  [
    dec([sa(5, undefined, 3)]),
    match(MatchError.INVALID_FIELD),
    /^ipsec_dec.ipsec_sas\[0\]: the tunnel has no SA with SPI 5 to _DELETE$/,
  ],
  [dec([sa(5, undefined, 4)]), match(MatchError.INVALID_FIELD), /^ipsec_dec.ipsec_sas\[0\].operation 4 is none of _NONE \(0\)/],
  [
    dec([sa(5)], {}, matching({ $case: "geneveMatch", value: inside })),
    match(MatchError.INVALID_CAPABILITIES),
    /^ipsec_dec cannot take what its match is for: match with ipsec_match, or with neither$/,
  ],
  [
    dec([sa(5)], {}, matching({ $case: "vxlanMatch", value: inside })),
    match(MatchError.INVALID_CAPABILITIES),
    /^ipsec_dec cannot take what its match is for/,
  ],
];

t.test("each mistake has its code and a sentence, and leaves the tables as they were", async (t) => {
  const made = await device(t);
  const seen = new Set<string>();
  for (const [request, codes, sentence] of CASES) {
    const { responses, requestStatus, errorStatus } = await create(made.client, [request]);
    t.match(responses[0]?.error?.errorString, sentence);
    t.same(
      responses[0]?.error?.errorMessage,
      { matchError: 0, tunnelError: 0, ipsecError: 0, geneveError: 0, ...codes },
      sentence.source,
    );
    t.match({ requestStatus, errorStatus }, { requestStatus: 1, errorStatus: 1n });
    if ("ipsecError" in codes) seen.add(JSON.stringify(codes));
  }
  t.equal(seen.size, 4, "every IPSecError");
  t.equal(made.rules.size, 0);
  t.equal(made.sas.size, 0);
});

t.test("ipsec_match and none are what a decrypting tunnel may match; an encrypting one anything", async (t) => {
  const made = await device(t);
  const esp = matching({ $case: "ipsecMatch", value: { spi: 5, sn: 0 } });
  t.same(await send(made, dec([sa(5)], {}, esp), dec([sa(5)], {}, { ...esp, tunnelId: 2n })), [undefined, undefined]);
  const vxlan = matching({ $case: "vxlanMatch", value: inside });
  t.same(await send(made, enc({}, { ...vxlan, tunnelId: 3n })), [undefined]);
});

t.test("no place for a SA: _TUNNEL_TABLE_FULL, and what to raise", async (t) => {
  const made = await device(t, { sas: 2 });
  const { responses, requestStatus } = await create(made.client, [dec([sa(5), sa(6), sa(7)])]);
  t.equal(requestStatus, 2);
  t.match(responses[0]?.error?.errorString, /^the table of security associations is full: .* raise ipsec.capacity$/);
  t.equal(made.rules.size, 0);
  t.same(await send(made, dec([sa(5), sa(6)])), [undefined], "nothing of it was left behind");
});

t.test("SPIs that IANA reserves are taken, with one warning a second", async (t) => {
  const made = await device(t);
  t.same(await send(made, enc({ ipsecSa: sa(255) }), dec([sa(256)], {}, { tunnelId: 2n })), [undefined, undefined]);
  t.same(await send(made, dec([sa(1)], {}, { tunnelId: 3n })), [undefined]);
  const warnings = made.log.filter((line) => line.includes("reserved"));
  t.equal(warnings.length, 1);
  t.match(warnings[0], /tunnel 1: SPIs below 256 are reserved \(RFC 4303 section 2.1\)/);
});

t.test("settings that IPsec tunnels begin with are theirs, and their SAs'", async (t) => {
  const made = await device(t, { settings: { esn: true, replayWindow: 64 } });
  t.same(await send(made, dec([sa(5)])), [undefined]);
  t.match(made.sas.info(slots(made)[0]?.[1] ?? -1), { esn: true, replayWindow: 64, spi: 5, seals: false });
});

t.test("Capabilities says what is there", async (t) => {
  const made = await device(t);
  const response = await new Promise((resolve, reject) =>
    made.client.capabilities({}, (error, value) => (error ? reject(error) : resolve(value))),
  );
  t.match(response, {
    ipsecCapabilities: { tunnelTypeSupported: [0, 1, 2, 3], encryptionSupported: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] },
  });
});

t.test("an encrypting tunnel in a chain", async (t) => {
  const made = await device(t);
  const second = enc(
    { ipsecSa: sa(2000) },
    { tunnelId: 2n, matchCriteria: criteria({ tunnelId: 1n, match: { $case: "ipsecMatch", value: { spi: 0, sn: 0 } } }) },
  );
  t.same(await send(made, dec(), second), [undefined, undefined]);
});
