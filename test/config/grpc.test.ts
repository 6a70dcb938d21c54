// The `grpc` map: TLS or loopback, and the limits of the control channel.

import t from "tap";
import type { Config } from "../../src/config/config.js";
import { EMBEDDED } from "../../src/config/defaults.js";
import { fill } from "../../src/config/fill.js";
import { load } from "../../src/config/load.js";
import { optionsSchema } from "../../src/config/options.js";
import { schemaProblems } from "../../src/config/problems.js";
import { remarks } from "../../src/config/remarks.js";
import { SluiceError } from "../../src/errors.js";

const LIMITS = { maxFrame: 9216 };
const PAIR = { cert: "server.pem", key: "server.key" };

function config(grpc: object): Config {
  const input = { ports: [{ lif: 1, driver: "memory", host: { driver: "memory" } }], grpc };
  const { data, error } = optionsSchema.safeParse(input);
  if (data === undefined) throw new SluiceError("config", schemaProblems(error.issues, input)[0].text);
  return fill(data, LIMITS);
}

function failure(grpc: object): string {
  try {
    config(grpc);
  } catch (error) {
    if (error instanceof SluiceError) return error.message;
    throw error;
  }
  return "accepted";
}

t.test("defaults: plaintext on loopback, with bounds on everything", async (t) => {
  t.same(config({}).grpc, {
    listen: "127.0.0.1:3443",
    tls: undefined,
    maxMessageBytes: 4_194_304,
    maxStreams: 1024,
    maxConnections: 1024,
    keepaliveInterval: 30,
    keepaliveTimeout: 10,
  });
});

t.test("what is written is what holds", async (t) => {
  const limits = { maxMessageBytes: 65_536, maxStreams: 2, maxConnections: 3, keepaliveInterval: 4, keepaliveTimeout: 5 };
  t.same(config({ listen: "[::]:1", ...PAIR, clientCa: "ca.pem", ...limits }).grpc, {
    listen: "[::]:1",
    tls: { ...PAIR, clientCa: "ca.pem" },
    ...limits,
  });
});

t.test("beyond loopback there is TLS, or the user says that it goes without", async (t) => {
  for (const listen of ["0.0.0.0:3443", "[::]:3443", "192.0.2.1:3443", "device.example:3443", "[::ffff:127.0.0.1]:3443"]) {
    t.match(
      failure({ listen }),
      /grpc\.listen: found ".*", expected a loopback address .*can program the device\. Set grpc\.cert and grpc\.key \(TLS\).* or grpc\.insecure: true$/,
      listen,
    );
    t.match(failure({ listen, insecure: false }), /grpc\.listen/, listen);
    t.equal(failure({ listen, insecure: true }), "accepted", listen);
    t.equal(failure({ listen, ...PAIR }), "accepted", listen);
  }
  t.throws(() => load({ grpc: "0.0.0.0:3443" }, EMBEDDED, LIMITS), { message: /^configuration: --grpc: grpc\.listen: found/ });
});

t.test("certificate and key belong together, and clientCa to both", async (t) => {
  t.equal(failure({ cert: "a.pem" }), "configuration: grpc.cert: needs its private key: expected grpc.key beside it");
  t.equal(
    failure({ key: "a.key" }),
    "configuration: grpc.key: needs the certificate that it belongs to: expected grpc.cert beside it",
  );
  t.match(failure({ clientCa: "ca.pem" }), /grpc\.clientCa: .* needs TLS: expected grpc\.cert and grpc\.key beside it$/);
  t.match(failure({ listen: "0.0.0.0:1", cert: "a.pem" }), /^configuration: grpc\.cert: /, "one problem, not two");
});

t.test("limits have bounds", async (t) => {
  const refused: [object, RegExp][] = [
    [{ maxMessageBytes: 4_095 }, /found 4095, expected a whole number from 4,096 to 67,108,864/],
    [{ maxMessageBytes: 67_108_865 }, /found 67108865/],
    [{ maxStreams: 0 }, /found 0, expected a whole number from 1 to 65,535/],
    [{ maxConnections: 65_536 }, /found 65536/],
    [{ keepaliveInterval: 0 }, /found 0, expected a whole number from 1 to 86,400/],
    [{ keepaliveTimeout: 3_601 }, /found 3601/],
    [{ insecure: "yes" }, /found "yes", expected true or false/],
    [{ cert: "" }, /found "", expected the path of a certificate in PEM form/],
    [{ tls: true }, /unknown key, expected one of listen, cert, key, clientCa, insecure, maxMessageBytes, /],
  ];
  for (const [grpc, message] of refused) t.match(failure(grpc), message, JSON.stringify(grpc));
  t.equal(failure({ maxMessageBytes: 4_096, maxStreams: 65_535, maxConnections: 1, keepaliveInterval: 1 }), "accepted");
});

t.test("a device that everybody can program is remarked on", async (t) => {
  t.match(remarks(config({ listen: "0.0.0.0:1", insecure: true }), 4), [
    /^grpc\.insecure: whoever reaches 0\.0\.0\.0:1 can program/,
  ]);
  t.same(remarks(config({ listen: "0.0.0.0:1", insecure: true, ...PAIR }), 4), []);
  t.same(remarks(config({ listen: "localhost:1", insecure: true }), 4), []);
});
