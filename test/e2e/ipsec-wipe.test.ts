// Keys of a running device: nothing that it says has them, and when their tunnels are gone they are in no table and no AEAD context
// (all of the process's memory is looked through).
//
// What is left are messages as they came off the socket, in buffers of Node's HTTP/2 that grpc-js copies from and hands to nobody:
// they are told by the field's tag in front of the key, and last until their memory is used again.

import t, { type Test } from "tap";
import { EncType, IPSecTunnelType } from "../../src/control/gen/tunneloffload.js";
import { forbidden, places } from "../aead/process-memory.js";
import { A, B } from "./bump.js";
import { SLUICE, within } from "./device.js";
import { addKey, decrypt, type Esp, encrypt, from, type Key, newKey, remove, switchTo } from "./ipsec.js";
import { endLine, type LineDevice, makeLine } from "./line.js";
import { noNamespaces } from "./namespaces.js";
import { answeredPings } from "./probe.js";

const ESP: Esp = { mode: IPSecTunnelType.TUNNEL, encryption: EncType._AES256GCM128, family: 4 };
const ENC = 1;
const DEC = 2;
/** Less memory to look through. */
const SMALL = "sessions: { capacity: 1024 }\n";
/** Bytes of a key that are looked for: the first round key of AES. */
const LOOKED = 16;
/** encryption_key in IPSecSAParams: field 2, and how many bytes follow (api.md "Field numbers"). */
const TAG = 0x12;

t.test("keys of a running device", { skip: noNamespaces || forbidden() }, async (t) => {
  const line = await makeLine(t, ["d", "e"], SMALL);
  const { net } = line;
  const [d, e] = line.devices as [LineDevice, LineDevice];
  const { pid } = d.device;
  const [raw, text, next] = [newKey(0x301, ESP), newKey(0x302, ESP), newKey(0x303, ESP)];
  const all = [raw, text, next];
  t.strictSame(await e.control.tunnels([decrypt(DEC, from("a"), ESP, [raw, next]), encrypt(ENC, from("b"), ESP, "a", text)]), []);
  t.strictSame(found(pid, all), { held: [0, 0, 0], received: [0, 0, 0] }, "none before");
  const requests = [decrypt(DEC, from("b"), ESP, [asText(text)]), encrypt(ENC, from("a"), ESP, "b", raw)];
  t.strictSame(await d.control.tunnels(requests), []);
  t.equal(answeredPings(net, "a", B.ip4, 5), 5);
  t.equal(answeredPings(net, "b", A.ip6, 5), 5);
  t.match(found(pid, all).held, [/[2-9]/, /[2-9]/, 0], "while they are in use, the table and the worker's context have them");

  await t.test("nothing that is said has them", (t) => unsaid(t, line.net, d, all));
  t.strictSame(await d.control.tunnels([switchTo(ENC, next)]), []);
  t.equal(answeredPings(net, "a", B.ip4, 5), 5);
  const are = (...wanted: RegExp[]) => within(3000, () => found(pid, all).held.every((n, i) => wanted[i]?.test(`${n}`)));
  t.ok(await are(/^0$/, /[2-9]/, /[2-9]/), "an old key goes when another one takes its place");
  t.strictSame(await d.control.tunnels([remove(ENC), remove(DEC)]), []);
  t.ok(await are(/^0$/, /^0$/, /^0$/), "all go with their tunnels");
  t.comment(`left of messages: ${found(pid, all).received}`);
  await endLine(t, line);
  const said = [d, e].map(({ device }) => `${device.output}${device.errors}${JSON.stringify(device.log)}`);
  for (const one of said) t.notOk(mentions(one, all), "no line of a device has them");
});

/** The same key in hexadecimal characters. */
const asText = ({ spi, material }: Key): Key => ({ spi, material: Buffer.from(material.toString("hex")) });

/** How often each key stands in the process's memory, in bytes or characters. */
function found(pid: number, keys: readonly Key[]): { readonly held: number[]; readonly received: number[] } {
  const forms = keys.flatMap(({ material }) => {
    const key = material.subarray(0, LOOKED);
    return [key, Buffer.from(key.toString("hex"))];
  });
  const held = keys.map(() => 0);
  const received = keys.map(() => 0);
  for (const { what, before } of places(pid, forms)) {
    const list = before[0] === TAG ? received : held;
    list[what >> 1] = (list[what >> 1] as number) + 1;
  }
  return { held, received };
}

function mentions(said: string, keys: readonly Key[]): boolean {
  return keys.some(({ material }) => {
    const key = material.subarray(0, LOOKED);
    // In base64 a whole number of triples; in JSON by number; Buffer's own inspection with spaces.
    const forms = [
      key.toString("hex"),
      key.toString("latin1"),
      key.subarray(0, 15).toString("base64"),
      key.join(","),
      key.toString("hex").replace(/..(?=.)/g, "$& "),
    ];
    return forms.some((form) => said.toLowerCase().includes(form.toLowerCase()));
  });
}

async function unsaid(t: Test, net: Parameters<typeof answeredPings>[0], { part, control }: LineDevice, keys: readonly Key[]) {
  const [raw, text, next] = keys as [Key, Key, Key];
  const cli = (...args: string[]) => {
    const { stdout, stderr } = net.run(part, [process.execPath, SLUICE, ...args]);
    return `${stdout}${stderr}`;
  };
  t.match(cli("tunnel", "get", `${ENC}`), "ipsec encrypt");
  const said = [
    ...[ENC, DEC].flatMap((id) => [cli("tunnel", "get", `${id}`), cli("tunnel", "get", `${id}`, "--json")]),
    cli("tunnel", "list"),
    cli("sa", "list"),
    cli("sa", "list", "--json"),
  ];
  const sas = [...(await control.sas(0n)), ...(await control.sas(1n))];
  t.equal(sas.length, 3);
  said.push(JSON.stringify(sas, (_, value) => (typeof value === "bigint" ? String(value) : value)));
  const cut = { spi: next.spi, material: next.material.subarray(0, 35) };
  const refused = [
    addKey(DEC, ESP, cut),
    addKey(DEC, ESP, { spi: text.spi, material: raw.material }),
    switchTo(ENC, { spi: next.spi, material: Buffer.from(`${next.material.toString("hex").slice(0, -1)}x`) }),
    encrypt(ENC, from("a"), ESP, "b", next),
  ];
  for (const request of refused) {
    const errors = await control.tunnels([request]);
    t.equal(errors.length, 1);
    said.push(...errors);
  }
  for (const one of said) t.notOk(mentions(one, keys), one.slice(0, 200));
}
