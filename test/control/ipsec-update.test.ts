// _UPDATE of IPsec tunnels (api.md 12): SAs are added, rekeyed and removed one by one, and those that stay are untouched.

import t from "tap";
import { EncType, IPSecError, MatchError } from "../../src/control/gen/tunneloffload.js";
import { dec, decUpdate, enc, encUpdate, keys, material, sa, send, slots } from "./ipsec-tunnels.js";
import { change, create, criteria, device, getTunnel, tunnel } from "./tunnel-device.js";

const hex = (seed: number) => material(36, seed).toString("hex");

t.test("an encrypting tunnel: a new SA takes the place of the old one", async (t) => {
  const made = await device(t);
  await send(made, enc());
  const [before] = slots(made);
  t.same(await send(made, encUpdate({ ipsecSa: sa(2000, material(36, 3)) })), [undefined]);
  const [after] = slots(made);
  t.equal(after?.[0], 2000);
  t.not(after?.[1], before?.[1]);
  t.same(keys(made), [hex(3)]);
  t.match(made.rules.get(1n)?.rule.tunnel, { mode: 1, suite: 9, outer: { source: Uint8Array.of(192, 0, 2, 1) } });
  // A key without a SPI keeps that.
  t.same(await send(made, encUpdate({ ipsecSa: sa(0, material(36, 4)) })), [undefined]);
  t.same(slots(made)[0]?.[0], 2000);
  t.same(keys(made), [hex(4)]);
});

t.test("what says nothing of SAs, or says again what they are, leaves them where they are", async (t) => {
  const made = await device(t);
  const both = [enc(), dec([sa(5), sa(6)])] as const;
  for (const request of both) {
    t.same(await send(made, request), [undefined]);
    const before = slots(made);
    const again = (await getTunnel(made.client, 1)).ipTunnel;
    t.ok(again);
    const updates = [
      change(1, 2, { nextAction: 2 }),
      change(1, 2, { matchCriteria: criteria({ ingressInterface: "2" }) }),
      { ...request, operation: 2 },
      { ...(again as typeof request), operation: 2, nextAction: 0 },
      change(1, 2, { tunnel: { $case: "ipsecTunnel", value: { ipsec: undefined } } }),
      request === both[0] ? encUpdate({}) : decUpdate([]),
      // Another mode, the same SAs.
      request === both[0] ? encUpdate({ tunnelType: 3 }) : decUpdate([], { tunnelType: 3 }),
    ];
    for (const update of updates) t.same(await send(made, update), [undefined]);
    t.same(slots(made), before);
    t.match(made.rules.get(1n)?.rule, { next: 1, tunnel: { mode: 3 } });
    await send(made, change(1, 3));
  }
});

t.test("a decrypting tunnel: make before break", async (t) => {
  const made = await device(t);
  await send(made, dec([sa(5)]));
  const [five] = slots(made);
  t.same(await send(made, decUpdate([sa(6)])), [undefined], "beside");
  t.same(slots(made)[0], five);
  t.same(keys(made), [hex(5), hex(6)]);
  t.same(await send(made, decUpdate([sa(7, undefined, 0)])), [undefined], "_NONE, too");
  t.same(await send(made, decUpdate([sa(5, Buffer.alloc(0), 3)])), [undefined], "delete");
  t.same(keys(made), [hex(6), hex(7)]);
  t.same(await send(made, decUpdate([sa(6, material(36, 60), 2)])), [undefined], "rekey in place");
  t.same(keys(made), [hex(60), hex(7)]);
  t.same(await send(made, decUpdate([sa(6, undefined, 3), sa(7, undefined, 3), sa(8)])), [undefined], "several at once");
  t.same(keys(made), [hex(8)]);
  t.same(await send(made, decUpdate([sa(8, undefined, 3)])), [undefined], "the last");
  t.same(keys(made), []);
  t.same(await send(made, change(1, 2, { nextAction: 2 }), decUpdate([sa(9)])), [undefined, undefined]);
  t.same(keys(made), [hex(9)]);
  await made.rules.settled();
  t.equal(made.sas.size, 1, "SAs that were removed are gone");
});

t.test("the same key again keeps its window; _CREATE with another key does nothing", async (t) => {
  const made = await device(t);
  await send(made, dec([sa(5)]));
  const before = slots(made);
  for (const operation of [0, 1, 2]) {
    t.same(await send(made, decUpdate([sa(5, undefined, operation)])), [undefined]);
    t.same(await send(made, decUpdate([sa(5, Buffer.from(hex(5)), operation)])), [undefined], "in another form");
    t.same(slots(made), before);
  }
  for (const operation of [0, 1]) {
    const { responses } = await create(made.client, [decUpdate([sa(5, material(36, 9), operation), sa(6)])]);
    t.match(
      responses[0]?.error?.errorString,
      /^ipsec_dec.ipsec_sas\[0\]: SPI 5 has another key already: take another SPI, or rekey it with an _UPDATE of the tunnel and of the SA$/,
    );
    t.equal(responses[0]?.error?.errorMessage?.ipsecError, IPSecError.INVALID_KEY);
  }
  t.same(slots(made), before);
});

t.test("SPIs that are not there are neither rekeyed nor removed", async (t) => {
  const made = await device(t);
  await send(made, dec([sa(5)]));
  for (const [operation, sentence] of [
    [2, /^ipsec_dec.ipsec_sas\[1\]: the tunnel has no SA with SPI 7 to _UPDATE: give _CREATE to add one$/],
    [3, /^ipsec_dec.ipsec_sas\[1\]: the tunnel has no SA with SPI 7 to _DELETE$/],
  ] as const) {
    const { responses } = await create(made.client, [decUpdate([sa(6), sa(7, undefined, operation)])]);
    t.match(responses[0]?.error?.errorString, sentence);
    t.equal(responses[0]?.error?.errorMessage?.matchError, MatchError.INVALID_FIELD);
  }
  t.same(keys(made), [hex(5)], "all of an update or nothing");
  const [missing] = await send(made, decUpdate([sa(5, Buffer.alloc(0), 2)]));
  t.match(missing, /encryption_key is missing: give the key of SPI 5$/);
});

t.test("another suite only with other SAs", async (t) => {
  const made = await device(t);
  await send(made, dec([sa(5), sa(6)]));
  const suite = { encryptionType: EncType._AES256GCM96 };
  const stays = /^ipsec_dec.encryption_type is not that of SPI 6, which would stay: give ipsec_sas that replace each SA/;
  for (const sas of [[sa(5, undefined, 2)], [sa(5, undefined, 3)], [sa(5, undefined, 2), sa(6)]]) {
    const { responses } = await create(made.client, [decUpdate(sas, suite)]);
    t.match(responses[0]?.error?.errorString, stays);
    t.equal(responses[0]?.error?.errorMessage?.ipsecError, IPSecError.NON_SUPPORTED_ENCRYPTION);
  }
  const before = slots(made);
  t.same(await send(made, decUpdate([sa(5, undefined, 2), sa(6, undefined, 3)], suite)), [undefined]);
  t.same(keys(made), [hex(5)]);
  t.not(slots(made)[0]?.[1], before[0]?.[1]);
  t.equal(made.sas.info(slots(made)[0]?.[1] ?? -1).suite, 5);
  await send(made, change(1, 3), enc());
  t.match(
    (await send(made, encUpdate(suite)))[0],
    /^ipsec_enc.encryption_type is not that of SPI 1000, which would stay: give ipsec_sa with its key with it$/,
  );
  const old = slots(made);
  t.same(await send(made, encUpdate({ ...suite, ipsecSa: sa(1000) })), [undefined]);
  t.not(slots(made)[0]?.[1], old[0]?.[1], "the same key in another suite is another SA");
});

t.test("within one batch, a SA is put into the table once", async (t) => {
  const made = await device(t);
  const { add } = made.sas;
  let added = 0;
  made.sas.add = (...given) => {
    added++;
    return add.apply(made.sas, given);
  };
  t.same(await send(made, dec([sa(5)]), decUpdate([sa(6)]), decUpdate([sa(5)]), change(1, 2, { nextAction: 2 })), [
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  t.same(keys(made), [hex(5), hex(6)]);
  await made.rules.settled();
  t.match({ added, size: made.sas.size }, { added: 2, size: 2 });
  const [conflict] = await send(made, decUpdate([sa(7)]), decUpdate([sa(7, material(36, 70))]));
  t.equal(conflict, undefined);
  t.same(keys(made), [hex(5), hex(6), hex(7)]);
  t.same(await send(made, change(1, 3), enc(), encUpdate({}), encUpdate({ ipsecSa: sa(1000) })), new Array(4).fill(undefined));
  await made.rules.settled();
  t.equal(made.sas.size, 1);
});

t.test("a tunnel of another kind becomes one of IPsec, and back; from encryption to decryption its keys come anew", async (t) => {
  const made = await device(t);
  t.same(await send(made, tunnel(1), { ...enc(), operation: 2 }), [undefined, undefined]);
  t.match((await send(made, { ...dec([sa(1000, Buffer.alloc(0))]), operation: 2 }))[0], /encryption_key is missing/);
  t.same(await send(made, { ...dec(), operation: 2 }), [undefined]);
  t.same(await send(made, { ...tunnel(1), operation: 2 }), [undefined]);
  await made.rules.settled();
  t.equal(made.sas.size, 0);
});
