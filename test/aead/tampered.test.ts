// What is not authentic is never there to be read (RFC 4106 section 7, RFC 4303 section 3.4.4.1).

import t from "tap";
import { type Aead, icvLength, Job } from "../../src/aead/aead.js";
import { suiteName } from "../../src/aead/known-answers.js";
import { At, PROVIDERS, packetOf, Rig, SUITES } from "./rig.js";

const LENGTH = 37;

for (const { name, skip } of PROVIDERS) {
  t.test(`${name}: each changed bit of IV, AAD, data and ICV is seen, and zeros are left`, { skip }, async (t) => {
    for (const suite of SUITES) {
      const rig = new Rig(name);
      const packet = packetOf(suite, LENGTH);
      const sealed = rig.seal(packet);
      const places = [
        ...range(At.iv, packet.iv.length),
        ...range(At.aad, packet.aad.length),
        ...range(At.data, LENGTH + icvLength(suite)),
      ];
      const passed: string[] = [];
      for (const place of places) {
        for (let bit = 0; bit < 8; bit++) {
          rig.place(packet, sealed, LENGTH);
          rig.frames[place] ^= 1 << bit;
          rig.aead.open(rig.jobs, 1);
          if (rig.jobs[Job.status] !== 1 || rig.left(LENGTH).some((byte) => byte !== 0))
            passed.push(`bit ${bit} of byte ${place}`);
        }
      }
      t.same(passed, [], suiteName(suite));
      t.same(rig.open(packet, sealed), packet.plain, "and the packet itself is opened");
      rig.aead.close();
    }
  });

  t.test(`${name}: packets cut short, with other lengths of AAD, or under another key are refused`, { skip }, async (t) => {
    for (const suite of SUITES) {
      const rig = new Rig(name);
      const packet = packetOf(suite, LENGTH);
      const sealed = rig.seal(packet);
      for (let length = icvLength(suite); length < sealed.length; length++) {
        t.equal(rig.open(packet, sealed.subarray(0, length)), undefined);
      }
      t.equal(rig.open({ ...packet, aad: packet.aad.subarray(0, 8) }, sealed), undefined);
      t.equal(rig.open({ ...packet, key: packet.key.map((byte) => byte ^ 1) }, sealed), undefined);
      t.equal(rig.open({ ...packet, salt: packet.salt.map((byte) => byte ^ 1) }, sealed), undefined);
      t.same(rig.open(packet, sealed), packet.plain);
      rig.aead.close();
    }
  });

  t.test(`${name}: nothing outside data and ICV is written`, { skip }, async (t) => {
    for (const suite of SUITES) {
      const rig = new Rig(name);
      const packet = packetOf(suite, LENGTH);
      const before = rig.frames.slice();
      before.set(packet.iv, At.iv);
      before.set(packet.aad, At.aad);
      before.set(rig.seal(packet), At.data);
      t.same(rig.frames, before, suiteName(suite));
      t.equal(rig.jobs[Job.status], -1, "seal leaves the status alone");
      rig.aead.close();
    }
  });

  t.test(`${name}: jobs outside the frame memory and contexts that are not there throw`, { skip }, async (t) => {
    for (const suite of [0, 11]) {
      const rig = new Rig(name);
      const size = rig.frames.length;
      const packet = packetOf(suite, LENGTH);
      const icv = icvLength(suite);
      const wrong: readonly (readonly [number, number])[] = [
        [Job.iv, -1],
        [Job.iv, size - 7],
        [Job.iv, 2 ** 31 - 1],
        [Job.aad, -1],
        [Job.aad, size - 11],
        [Job.aadLength, -1],
        [Job.aadLength, 47],
        [Job.data, -1],
        [Job.data, size - LENGTH - icv + 1],
        [Job.data, 2 ** 31 - 1],
        [Job.length, -1],
        [Job.length, -icv],
        [Job.length, 2 ** 31 - 1],
        [Job.length, size - At.data - icv + 1],
        [Job.context, -1],
        [Job.context, suite + 1],
        [Job.context, 2 ** 31 - 1],
      ];
      rig.place(packet, packet.plain, LENGTH);
      const before = rig.frames.slice();
      for (const [field, value] of wrong) {
        rig.place(packet, packet.plain, LENGTH);
        rig.jobs[field] = value;
        t.throws(() => rig.aead.seal(rig.jobs, 1), RangeError, `field ${field} is ${value}`);
        t.throws(() => rig.aead.open(rig.jobs, 1), RangeError, `field ${field} is ${value}`);
      }
      t.throws(() => rig.aead.seal(rig.jobs, 2), RangeError, "more jobs than there are");
      t.same(rig.frames, before, "nothing was written");

      rig.place(packet, packet.plain, size - At.data - icv);
      rig.jobs[Job.iv] = size - 8;
      rig.jobs[Job.aad] = size - 12;
      rig.aead.seal(rig.jobs, 1);
      t.notSame(rig.frames.slice(-4), before.slice(-4), "up to the last byte is right");
      rig.aead.close();
    }
  });

  t.test(`${name}: a context is of no use once it is wiped, and a new one may take its number`, { skip }, async (t) => {
    const rig = new Rig(name);
    const packet = packetOf(9, LENGTH);
    const sealed = rig.seal(packet);
    const refused = (aead: Aead) => {
      t.throws(() => aead.seal(rig.jobs, 1), RangeError);
      t.throws(() => aead.open(rig.jobs, 1), RangeError);
    };
    rig.aead.wipe(9);
    refused(rig.aead);
    rig.aead.wipe(9);
    rig.aead.wipe(1000);
    t.same(rig.open(packet, sealed), packet.plain);
    rig.aead.close();
    refused(rig.aead);
    rig.aead.close();
  });

  t.test(`${name}: keys and salts of other lengths, and what is no suite, are refused`, { skip }, async (t) => {
    const { aead } = new Rig(name);
    const bytes = (n: number) => new Uint8Array(n);
    for (const [context, suite, key, salt] of [
      [0, 0, 15, 4],
      [0, 0, 32, 4],
      [0, 1, 16, 4],
      [0, 0, 16, 3],
      [0, 2, 16, 4],
      [0, 12, 16, 4],
      [0, -1, 32, 3],
      [-1, 0, 16, 4],
      [1 << 20, 0, 16, 4],
    ]) {
      t.throws(() => aead.set(context, suite, bytes(key), bytes(salt)), RangeError, `suite ${suite}, key ${key}, salt ${salt}`);
    }
    aead.close();
  });
}

function range(start: number, length: number): number[] {
  return Array.from({ length }, (_, i) => start + i);
}
