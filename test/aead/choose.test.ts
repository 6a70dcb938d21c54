import t from "tap";
import type { Aead, AeadName } from "../../src/aead/aead.js";
import { chooseAead, openAead } from "../../src/aead/choose.js";
import { SluiceError } from "../../src/errors.js";
import { PROVIDERS, packetOf, Rig } from "./rig.js";

const NONE = new Uint8Array(0);

t.test("auto takes the fastest that is there and says why", async (t) => {
  const { aead, reason } = chooseAead("auto", NONE);
  const there = PROVIDERS.filter(({ skip }) => skip === false);
  t.equal(aead.name, there[0]?.name);
  t.match(reason, `${aead.name}, the fastest that works`);
  if (there.length < PROVIDERS.length) t.match(reason, "not ipsec-mb: the addon was built without libipsec-mb");
  aead.close();
});

for (const { name, skip } of PROVIDERS) {
  t.test(`${name} is taken when it is asked for, over the caller's frame memory`, { skip }, async (t) => {
    const rig = new Rig(name);
    const packet = packetOf(7, 20);
    const sealed = rig.seal(packet);
    const { aead, reason } = chooseAead(name, rig.frames);
    t.equal(aead.name, name);
    t.equal(reason, `${name}, as ipsec.aead asks`);
    rig.place(packet, packet.plain, 20);
    aead.set(7, 7, packet.key, packet.salt);
    aead.seal(rig.jobs, 1);
    t.same(rig.frames.slice(96, 96 + sealed.length), sealed);
    aead.close();
    rig.aead.close();
  });
}

/** `name` as given, changed by `change`; the others are as they are. */
function faulty(name: AeadName, change: (aead: Aead) => Partial<Aead>): typeof openAead {
  return (wanted, frames) => {
    const aead = openAead(wanted, frames);
    if (wanted !== name) return aead;
    return {
      name,
      set: (...args) => aead.set(...args),
      wipe: (context) => aead.wipe(context),
      seal: (jobs, n) => aead.seal(jobs, n),
      open: (jobs, n) => aead.open(jobs, n),
      close: () => aead.close(),
      ...change(aead),
    };
  };
}

/** Seals with another IV than it is told. */
const falseSeal = (aead: Aead): Partial<Aead> => ({
  seal: (jobs, n) => {
    jobs[1]++;
    aead.seal(jobs, n);
    jobs[1]--;
  },
});

/** Opens whatever comes. */
const falseOpen = (aead: Aead): Partial<Aead> => ({
  open: (jobs, n) => {
    aead.open(jobs, n);
    jobs[6] = 0;
  },
});

t.test("a provider whose known answers are wrong is refused when it is asked for", async (t) => {
  for (const [change, what] of [
    [falseSeal, "AES-128-GCM with an ICV of 8 bytes: what it seals is not the known answer"],
    [falseOpen, "AES-128-GCM with an ICV of 8 bytes: it lets a wrong ICV pass"],
  ] as const) {
    for (const name of ["openssl", "node"] as const) {
      const found = t.throws(() => chooseAead(name, NONE, faulty(name, change)), SluiceError) as SluiceError;
      t.equal(found.code, "aead");
      t.match(found.message, `ipsec.aead: ${name} cannot be used: ${what}; name another one, or auto`);
    }
  }
});

t.test("with auto a provider whose known answers are wrong is passed over, and the reason says so", async (t) => {
  const { skip } = PROVIDERS[0] ?? { skip: false };
  const fastest = skip === false ? "ipsec-mb" : "openssl";
  const { aead, reason } = chooseAead("auto", NONE, faulty(fastest, falseOpen));
  t.equal(aead.name, fastest === "ipsec-mb" ? "openssl" : "node");
  t.match(reason, `not ${fastest}: AES-128-GCM with an ICV of 8 bytes: it lets a wrong ICV pass`);
  aead.close();
});

t.test("a provider that is not there is said to be missing, with what to do", async (t) => {
  const missing: typeof openAead = () => {
    throw new Error("the addon was built without libipsec-mb: install libipsec-mb-dev and run `npm run build`");
  };
  t.throws(() => chooseAead("ipsec-mb", NONE, missing), /ipsec-mb cannot be used: .* install libipsec-mb-dev/);
  t.throws(() => chooseAead("auto", NONE, missing), /no provider works: not ipsec-mb: .* not openssl: .* not node: /);
});
