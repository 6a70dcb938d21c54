import t from "tap";
import {
  type ActionType,
  AddSessionStatus,
  type IpVersion,
  ProtocolId,
  type SessionRequest,
} from "../../src/control/gen/openoffload.js";
import { missingSession, toResponse, toSession } from "../../src/control/translate.js";
import { Action, CloseCode, type NewSession, State } from "../../src/table/session.js";
import { RULES, request } from "./device.js";

function accepted(changes: Partial<SessionRequest>, rules = RULES): NewSession {
  const session = toSession(request(1, changes), rules);
  if (typeof session === "string") {
    throw new Error(`rejected: ${session}`);
  }
  return session;
}

t.test("10.0.0.1 travels as 0x0100000a, or as 0x0a000001 with ipv4Order host (api.md 1)", async (t) => {
  t.same([...accepted({ sourceIp: 0x0100000a }).source], [10, 0, 0, 1]);
  t.same([...accepted({ destinationIp: 0xfe00a8c0 }).destination], [192, 168, 0, 254]);
  const host = { ...RULES, ipv4Order: "host" } as const;
  t.same([...accepted({ sourceIp: 0x0a000001 }, host).source], [10, 0, 0, 1]);
  t.same([...accepted({ destinationIp: 0xc0a800fe }, host).destination], [192, 168, 0, 254]);
});

t.test("IPv6 addresses: 16 bytes, or 32 hexadecimal characters with or without colons (api.md 4)", async (t) => {
  const raw = Buffer.from("20010db8000000000000000000000001", "hex");
  const forms = [
    raw,
    Buffer.from("20010db8000000000000000000000001"),
    Buffer.from("20010DB8000000000000000000000001"),
    Buffer.from("2001:0db8:0000:0000:0000:0000:0000:0001"),
    Buffer.from("20:01:0d:b8:00:00:00:00:00:00:00:00:00:00:00:01"),
  ];
  for (const form of forms) {
    const session = accepted({ ipVersion: 1, sourceIpv6: form, destinationIpv6: raw });
    t.equal(session.ipv6, true);
    t.same(Buffer.from(session.source), raw, form.toString("latin1"));
  }
});

t.test("the upper 16 bits of in_lif are a VLAN id, for both directions (api.md 8, 9)", async (t) => {
  t.match(accepted({ inLif: (100 << 16) | 1 }), { inLif: 1, inVlan: 100, outLif: 2, outVlan: 100 });
  t.match(accepted({ inLif: (4094 << 16) | 1, outLif: (4094 << 16) | 2 }), { inVlan: 4094, outLif: 2, outVlan: 4094 });
  t.match(accepted({ inLif: (100 << 16) | 1, outLif: 2 }), { inVlan: 100, outLif: 2, outVlan: 100 });
  t.match(accepted({ inLif: (100 << 16) | 1, outLif: 100 << 16 }), { outLif: 2, outVlan: 100 });
});

t.test("out_lif: 0 is the pair, in_lif itself is back out, any other configured one is allowed (api.md 8)", async (t) => {
  t.match(accepted({ inLif: 1, outLif: 0 }), { inLif: 1, outLif: 2 });
  t.match(accepted({ inLif: 2, outLif: 0 }), { inLif: 2, outLif: 1 });
  t.match(accepted({ inLif: 1, outLif: 1 }), { outLif: 1 });
  t.match(accepted({ inLif: 1, outLif: 3 }), { outLif: 3 });
});

t.test("cache_timeout 0 is the default; DROP and FORWARD ignore a next hop; no action is _DROP (api.md 10)", async (t) => {
  t.equal(accepted({ cacheTimeout: 0 }).timeout, 10);
  t.equal(accepted({ cacheTimeout: 4294967295 }).timeout, 4294967295);
  const hop = { actionNextHop: 5, actionNextHopV6: Buffer.alloc(3) };
  t.equal(accepted({ action: { actionType: 1, ...hop } }).action, Action.forward);
  t.equal(accepted({ action: { actionType: 0, ...hop } }).action, Action.drop);
  t.equal(accepted({ action: undefined }).action, Action.drop);
});

t.test(
  "MIRROR and SNOOP: action_next_hop_v6 when not empty, else action_next_hop, whatever the IP version (api.md 10)",
  async (t) => {
    const v6 = Buffer.from("20010db8000000000000000000000009", "hex");
    const none = Buffer.alloc(0);
    const ipv6 = { ipVersion: 1 as IpVersion, sourceIpv6: Buffer.alloc(16, 1), destinationIpv6: Buffer.alloc(16, 2) };
    for (const version of [{}, ipv6]) {
      for (const [actionType, action] of [
        [2, Action.mirror],
        [3, Action.snoop],
      ] as const) {
        const with4 = { actionType, actionNextHop: 0x090200c0, actionNextHopV6: none };
        t.match(accepted({ ...version, action: with4 }), { action, nextHop: 0 });
        const host = { ...RULES, ipv4Order: "host" } as const;
        t.match(accepted({ ...version, action: { ...with4, actionNextHop: 0xc0000209 } }, host), { action, nextHop: 0 });
        for (const form of [v6, Buffer.from(v6.toString("hex")), Buffer.from("2001:0DB8:0000:0000:0000:0000:0000:0009")]) {
          t.match(accepted({ ...version, action: { ...with4, actionNextHopV6: form } }), { action, nextHop: 1 });
        }
      }
    }
  },
);

t.test("what is rejected, and why (api.md 8)", async (t) => {
  const next = { actionNextHop: 0, actionNextHopV6: Buffer.alloc(0) };
  const v6 = Buffer.alloc(16, 1);
  const cases: [Partial<SessionRequest>, RegExp][] = [
    [{ sessionId: 4294967295n }, /session_id 4294967295 is reserved/],
    [{ inLif: 0 }, /in_lif 0 is not configured; there are 1, 2, 3/],
    [{ inLif: 4 }, /in_lif 4 is not configured/],
    [{ inLif: -1 }, /in_lif 65535 is not configured/],
    [{ inLif: (4095 << 16) | 1 }, /VLAN id 4095/],
    [{ inLif: (0x8000 << 16) | 1 }, /VLAN id 32768/],
    [{ outLif: 9 }, /out_lif 9 is not configured/],
    [{ outLif: (100 << 16) | 2 }, /out_lif has VLAN id 100, in_lif 0/],
    [{ inLif: (100 << 16) | 1, outLif: (101 << 16) | 2 }, /out_lif has VLAN id 101, in_lif 100/],
    [{ inLif: 3, outLif: 0 }, /pair of in_lif 3, which is not configured/],
    [{ protocolId: ProtocolId._HOPOPT }, /protocol_id 0/],
    [{ protocolId: 1 as ProtocolId }, /protocol_id 1 is neither _TCP \(6\) nor _UDP \(17\)/],
    [{ sourcePort: 65536 }, /source_port 65536/],
    [{ destinationPort: 4294967295 }, /destination_port 4294967295/],
    [{ ipVersion: 2 as IpVersion }, /ip_version 2/],
    [{ ipVersion: 1, destinationIpv6: v6 }, /source_ipv6 has 0 bytes/],
    [{ ipVersion: 1, sourceIpv6: v6 }, /destination_ipv6 has 0 bytes/],
    [{ ipVersion: 1, sourceIpv6: Buffer.alloc(4), destinationIpv6: v6 }, /source_ipv6 has 4 bytes/],
    [{ ipVersion: 1, sourceIpv6: Buffer.alloc(32, "x"), destinationIpv6: v6 }, /source_ipv6 has 32 bytes/],
    [{ ipVersion: 1, sourceIpv6: v6, destinationIpv6: Buffer.from("2001:db8::1") }, /destination_ipv6 has 11 bytes/],
    [
      { action: { actionType: 2, ...next } },
      /_MIRROR: its next hop 0.0.0.0 is not in the device's nextHops, which has 192.0.2.9, 2001:db8::9/,
    ],
    [{ action: { actionType: 3, ...next, actionNextHop: 1 } }, /_SNOOP: its next hop 1.0.0.0 is not in/],
    [{ action: { actionType: 2, ...next, actionNextHopV6: v6 } }, /_MIRROR: its next hop [0-9a-f:]+ is not in/],
    [{ action: { actionType: 2, ...next, actionNextHopV6: Buffer.alloc(4) } }, /action_next_hop_v6 has 4 bytes/],
    [{ action: { actionType: 4 as ActionType, ...next } }, /action_type 4 is none of/],
    [{ action: { actionType: -1, ...next } }, /action_type -1 is none of/],
  ];
  for (const [changes, sentence] of cases) {
    t.match(toSession(request(1, changes), RULES), sentence, sentence.source);
  }
});

t.test("a session is answered with all its fields; end_time only when it has ended", async (t) => {
  const info = {
    id: 0xffff_ffff_ffff_ffffn,
    inPackets: 1,
    outPackets: 2,
    inBytes: 2 ** 53 - 1,
    outBytes: 4,
    state: State.closing2,
    closeCode: CloseCode.finAck,
    startTime: 1_700_000_000_123.5,
    endTime: 0,
  };
  const live = toResponse(info);
  t.same(live, {
    sessionId: 0xffff_ffff_ffff_ffffn,
    inPackets: 1n,
    outPackets: 2n,
    inBytes: 9007199254740991n,
    outBytes: 4n,
    sessionState: 2,
    sessionCloseCode: 1,
    requestStatus: 0,
    startTime: { seconds: 1_700_000_000n, nanos: 123_500_000 },
    endTime: undefined,
  });
  t.same(toResponse({ ...info, endTime: 1_700_000_001_000 }).endTime, { seconds: 1_700_000_001n, nanos: 0 });
  t.match(missingSession(5n), { sessionId: 5n, requestStatus: 2 });
  t.equal(AddSessionStatus._SESSION_ALREADY_EXISTS, 4);
});
