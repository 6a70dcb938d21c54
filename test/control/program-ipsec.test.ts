// IPsec tunnels in program files: what becomes of them, and mistakes that do not tell a key.

import t from "tap";
import { parseProgram } from "../../src/control/program.js";
import { SluiceError } from "../../src/errors.js";

const KEY = "a1b2c3d4e5f60718293a4b5c6d7e8f90deadbeef";

function parse(text: string) {
  return parseProgram(text, "P.yaml", "s_addr").tunnels;
}

function mistake(text: string): string {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof SluiceError && error.code === "config") {
      t.equal(error.cause, undefined, "--debug shows causes");
      return error.message;
    }
    throw error;
  }
  return "";
}

t.test("a tunnel of IPsec is the request that a client would send", async (t) => {
  const tunnels = parse(`tunnels:
  - tunnel_id: 1
    match_criteria: {}
    ipsec_tunnel:
      ipsec_enc:
        tunnel_type: TUNNEL
        encryption_type: AES128GCM128
        ipsec_sa: { spi: 1000, encryption_key: "${KEY}" }
        ipv4_tunnel: { source_ip: 192.0.2.1, destination_ip: 192.0.2.2 }
    options: { esn: true, replay_window: 64, natt_source_port: 4501, udp_port: 4502 }
  - tunnel_id: 2
    operation: UPDATE
    ipsec_tunnel:
      ipsec_dec:
        tunnel_type: TRANSPORT_NAT_TRAVERSAL
        encryption_type: _AES256CCM64
        ipsec_sas:
          - { spi: 5, operation: DELETE }
          - { spi: 0xffffffff, encryption_key: "${KEY.toUpperCase()}", operation: CREATE }
  - { ipsec_tunnel: { ipsec_enc: { ipv6_tunnel: { source_ip: "::1", destination_ip: "::2" } } } }
  - { ipsec_tunnel: {} }
`);
  t.same(tunnels[0]?.request.tunnel, {
    $case: "ipsecTunnel",
    value: {
      ipsec: {
        $case: "ipsecEnc",
        value: {
          tunnelType: 1,
          encryptionType: 5,
          ipsecSa: { spi: 1000, encryptionKey: Buffer.from(KEY, "hex"), operation: 0 },
          tunnelIps: { $case: "ipv4Tunnel", value: { sourceIp: 0x010200c0, destinationIp: 0x020200c0 } },
        },
      },
    },
  });
  t.match(tunnels[0]?.options, { esn: true, replayWindow: 64, nattSourcePort: 4501, udpPort: 4502 });
  t.same(tunnels[1]?.request.tunnel, {
    $case: "ipsecTunnel",
    value: {
      ipsec: {
        $case: "ipsecDec",
        value: {
          tunnelType: 2,
          encryptionType: 6,
          ipsecSas: [
            { spi: 5, encryptionKey: Buffer.alloc(0), operation: 3 },
            { spi: 0xffff_ffff, encryptionKey: Buffer.from(KEY, "hex"), operation: 1 },
          ],
        },
      },
    },
  });
  t.match(tunnels[2]?.request.tunnel, {
    value: { ipsec: { value: { ipsecSa: undefined, tunnelIps: { $case: "ipv6Tunnel" } } } },
  });
  t.match(tunnels[3]?.request.tunnel, { $case: "ipsecTunnel", value: { ipsec: undefined } });
});

t.test("mistakes", async (t) => {
  const cases: [string, RegExp][] = [
    ["{ ipsec_enc: { encryption_type: AES192 } }", /encryption_type: found "AES192", expected a suite such as AES256GCM128/],
    ["{ ipsec_enc: { tunnel_type: TUNEL } }", /tunnel_type: found "TUNEL", expected TRANSPORT, TUNNEL, TRANSPORT_NAT/],
    ["{ ipsec_enc: {}, ipsec_dec: {} }", /ipsec_tunnel: found ipsec_enc and ipsec_dec, expected one of them/],
    ["{ ipsec_enc: { ipv4_tunnel: {}, ipv6_tunnel: {} } }", /ipsec_enc: found ipv4_tunnel and ipv6_tunnel, expected one of/],
    ["{ ipsec_dec: { ipsec_sas: [ { spi: -1 } ] } }", /ipsec_sas\[0\].spi: found -1, expected a number from 0/],
    ["{ ipsec_dec: { ipsec_sas: [ { key: 1 } ] } }", /ipsec_sas\[0\]: found key, expected one of spi, encryption_key, operation/],
  ];
  for (const [tunnel, expected] of cases) t.match(mistake(`tunnels:\n  - ipsec_tunnel: ${tunnel}\n`), expected, tunnel);
  t.match(
    mistake("tunnels:\n  - { geneve: {}, ipsec_tunnel: {} }\n"),
    /tunnels\[0\]: found geneve and ipsec_tunnel, expected one/,
  );
});

t.test("no mistake tells a key, wherever it stands", async (t) => {
  const digits = KEY.replace(/\D/g, "");
  const cases: [string, RegExp][] = [
    [
      `{ ipsec_enc: { ipsec_sa: { encryption_key: ${digits} } } }`,
      /encryption_key: found something else, expected hexadecimal digits in/,
    ],
    [`{ ipsec_enc: { ipsec_sa: { encryption_key: "${KEY}0" } } }`, /encryption_key: found something else/],
    [`{ ipsec_enc: { ipsec_sa: { encryption_key: "${KEY}zz" } } }`, /encryption_key: found something else/],
    [`{ ipsec_enc: { ipsec_sa: "${KEY}" } }`, /ipsec_sa: found string, expected a map/],
    [`{ ipsec_dec: { ipsec_sas: "${KEY}" } }`, /ipsec_sas: found string, expected a list/],
    [`{ ipsec_dec: { ipsec_sas: [ "${KEY}" ] } }`, /ipsec_sas\[0\]: found string, expected a map/],
    [`"${KEY}"`, /ipsec_tunnel: found string, expected a map/],
    [`{ ipsec_enc: { ipsec_sa: { encryption_key: "${KEY}" `, /^P.yaml is not valid YAML: /],
    [`{ ipsec_enc: { ipsec_sa: { encryption_key: "${KEY}`, /^P.yaml is not valid YAML: /],
  ];
  for (const [tunnel, expected] of cases) {
    const message = mistake(`tunnels:\n  - ipsec_tunnel: ${tunnel}\n`);
    t.match(message, expected, tunnel);
    for (const piece of [KEY.slice(0, 8), digits.slice(0, 8)]) t.notOk(message.includes(piece), message);
  }
});
