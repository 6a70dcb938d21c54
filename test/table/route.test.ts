import fc from "fast-check";
import t from "tap";
import { type Route, Routes } from "../../src/table/route.js";

const bits = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");

/** The longest prefix, of equal ones the first; by strings of bits. */
function longest(routes: readonly Route[], address: Uint8Array): number {
  let best = -1;
  routes.forEach((route, i) => {
    const covers =
      route.address.length === address.length && bits(address).startsWith(bits(route.address).slice(0, route.length));
    if (covers && (best < 0 || route.length > (routes[best] as Route).length)) best = i;
  });
  return best;
}

/** Addresses that share long prefixes. */
const address = (length: number) =>
  fc
    .tuple(fc.uint8Array({ minLength: length, maxLength: length }), fc.nat(length), fc.nat(255))
    .map(([noise, at, byte]) => Uint8Array.from({ length }, (_, i) => (i < at ? 10 : i === at ? byte : (noise[i] as number))));
const route = fc.constantFrom(4, 16).chain((length) =>
  fc.record({
    address: address(length),
    length: fc.oneof(
      fc.nat(length * 8),
      fc.constantFrom(0, 1, 8, 31, 32).map((n) => Math.min(n, length * 8)),
    ),
    port: fc.nat(20),
    destinationMac: fc.uint8Array({ minLength: 6, maxLength: 6 }),
    sourceMac: fc.uint8Array({ minLength: 6, maxLength: 6 }),
  }),
);

t.test("the longest prefix wins, of either family, against a search through all", async (t) => {
  let found = 0;
  fc.assert(
    fc.property(
      fc.uniqueArray(route, {
        maxLength: 40,
        selector: ({ address: a, length }) => `${a.length} ${length} ${bits(a).slice(0, length)}`,
      }),
      fc.array(fc.constantFrom(4, 16).chain(address), { maxLength: 20 }),
      (routes, strangers) => {
        const table = new Routes(routes);
        t.equal(table.size, routes.length);
        // Each route's own address, with its last bit turned too.
        const near = routes.flatMap(({ address: a, length }) => [
          a,
          a.map((byte, i) => (length > 0 && i === (length - 1) >> 3 ? byte ^ (0x80 >> ((length - 1) & 7)) : byte)),
        ]);
        for (const one of [...strangers, ...near]) {
          const wanted = longest(routes, one);
          if (wanted >= 0) found++;
          if (table.find(one) !== wanted) throw new Error(`route ${table.find(one)} instead of ${wanted}`);
          const bytes = new Uint8Array(40).fill(0xa5);
          bytes.set(one, 7);
          if (table.findAt(bytes, 7, one.length) !== wanted) throw new Error("findAt");
        }
      },
    ),
    { numRuns: 300, seed: 1 },
  );
  t.ok(found > 1000);
});

t.test("a route's port and MACs are its own, written where an Ethernet header is", async (t) => {
  const made = (n: number): Route => ({
    address: Uint8Array.of(10, n, 0, 0),
    length: 16,
    port: n,
    destinationMac: Uint8Array.of(2, 0, 0, 0, 2, n),
    sourceMac: Uint8Array.of(2, 0, 0, 0, 1, n),
  });
  const table = new Routes(Array.from({ length: 200 }, (_, n) => made(n)));
  const bytes = new Uint8Array(32).fill(0xa5);
  for (const n of [0, 1, 77, 199]) {
    const found = table.find(Uint8Array.of(10, n, 3, 4));
    t.equal(table.port[found], n);
    table.write(found, new Uint16Array(bytes.buffer), 10);
    t.same([...bytes.subarray(8, 24)], [0xa5, 0xa5, 2, 0, 0, 0, 2, n, 2, 0, 0, 0, 1, n, 0xa5, 0xa5]);
  }
});
