import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import t from "tap";
import { readCertificates } from "../../src/control/certificates.js";
import { SluiceError } from "../../src/errors.js";
import { noOpenssl, type Pair, Pems } from "./pems.js";

const skip = noOpenssl();
const DAY = 86_400_000;

function failure(files: Pair & { clientCa?: string }): string {
  try {
    readCertificates(files, Date.now());
  } catch (error) {
    if (error instanceof SluiceError && error.code === "grpc") {
      // Nothing of the key, in whatever the error carries.
      const everything = `${error.stack}${JSON.stringify(error.cause) ?? ""}`;
      const secret = secretOf(files.key);
      if (secret !== undefined && everything.includes(secret)) throw new Error("the private key is in the error");
      return error.message.replaceAll(/\/tmp\/sluice-pems-[^/]+\//g, "");
    }
    throw error;
  }
  return "accepted";
}

/** A line from the middle of a PEM file. */
function secretOf(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1").split("\n")[1]?.slice(0, 16) || undefined;
  } catch {
    return undefined;
  }
}

t.test("what is wrong with a file is said with its name and what to do", { skip }, async (t) => {
  const pems = new Pems(t);
  const good = pems.make("good");
  const other = pems.make("other");
  const with_ = (changes: Partial<Pair> & { clientCa?: string }) => failure({ ...good, ...changes });
  t.equal(with_({}), "accepted");

  t.equal(
    with_({ cert: pems.path("none.pem") }),
    "reading the certificate none.pem (grpc.cert) failed: there is no such file. Names are relative to the working directory",
  );
  t.match(
    with_({ key: pems.path("none.key") }),
    /^reading the private key none\.key \(grpc\.key\) failed: there is no such file/,
  );
  t.match(with_({ clientCa: pems.path("none.pem") }), /^reading the certificate none\.pem \(grpc\.clientCa\) failed/);
  mkdirSync(pems.path("directory"));
  t.match(with_({ cert: pems.path("directory") }), /directory \(grpc\.cert\) failed: it is a directory/);

  t.equal(
    with_({ key: other.key }),
    "the private key other.key (grpc.key) does not belong to the certificate good.pem (grpc.cert). Set grpc.cert and grpc.key to " +
      "files that were made together; in a chain the server's own certificate comes first",
  );
  t.match(
    with_({ cert: good.key, key: good.cert }),
    /good\.key \(grpc\.cert\) has a private key\. Are grpc\.cert and grpc\.key exchanged/,
  );
  t.match(with_({ key: good.cert }), /good\.pem \(grpc\.key\) has a certificate\. Are grpc\.cert and grpc\.key exchanged/);

  const text = pems.write("text.pem", "hello\n");
  t.match(
    with_({ cert: text }),
    /text\.pem \(grpc\.cert\) has no certificate in it\. It is to begin with -----BEGIN CERTIFICATE/,
  );
  t.match(with_({ key: text }), /text\.pem \(grpc\.key\) has no private key in it\. It is to begin with -----BEGIN PRIVATE KEY/);
  t.match(with_({ clientCa: pems.write("empty.pem", "") }), /empty\.pem \(grpc\.clientCa\) has no certificate in it/);

  const half = pems.read("good.pem").toString().split("\n");
  half.splice(2, 3);
  t.match(
    with_({ cert: pems.write("half.pem", half.join("\n")) }),
    /half\.pem \(grpc\.cert\): it is no X\.509 certificate\. Is the file complete/,
  );
  const broken = pems
    .read("good.key")
    .toString()
    .replace(/\n.{20}/, "\n");
  t.match(with_({ key: pems.write("half.key", broken) }), /half\.key \(grpc\.key\) has no private key in it/);
  t.match(
    with_({ clientCa: pems.write("two.pem", `${pems.read("good.pem")}${half.join("\n")}`) }),
    /two\.pem \(grpc\.clientCa\): block 2 of 2 is no X\.509 certificate/,
  );

  pems.openssl("x509", "-in", "good.pem", "-outform", "der", "-out", "good.der");
  t.match(
    with_({ cert: pems.path("good.der") }),
    /good\.der \(grpc\.cert\) is in DER form\. openssl x509 -inform der -in good\.der/,
  );
  pems.openssl("pkey", "-in", "good.key", "-outform", "der", "-out", "key.der");
  t.match(with_({ key: pems.path("key.der") }), /key\.der \(grpc\.key\) is in DER form\. openssl pkey -inform der/);
  pems.openssl("pkey", "-in", "good.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key");
  t.match(with_({ key: pems.path("locked.key") }), /locked\.key \(grpc\.key\) is locked by a passphrase/);

  pems.openssl("req", "-x509", "-newkey", "rsa:512", "-nodes", "-subj", "/CN=short", "-keyout", "short.key", "-out", "short.pem");
  t.match(
    failure({ cert: pems.path("short.pem"), key: pems.path("short.key") }),
    /^OpenSSL refuses the certificate short\.pem .*: ee key too small\. Make a new one/,
  );
});

t.test(
  "a file that the user must not read",
  { skip: skip || process.getuid?.() === 0 ? "root reads everything" : false },
  async (t) => {
    const pems = new Pems(t);
    const good = pems.make("good");
    chmodSync(good.key, 0o000);
    t.match(failure(good), /good\.key \(grpc\.key\) failed: permission denied\. The user that sluice runs as/);
  },
);

t.test("a certificate that is over, or not yet begun, is used with a warning", { skip }, async (t) => {
  const pems = new Pems(t);
  const ca = pems.make("authority", { ca: true, days: 10 });
  const old = pems.make("old", { days: -1, by: ca });
  const { warnings, summary } = readCertificates({ ...old, clientCa: ca.cert }, Date.now());
  t.match(warnings, [
    /^the certificate CN=old in .*old\.pem \(grpc\.cert\) expired on .* GMT\. .*SIGHUP reads it without a restart$/,
  ]);
  t.equal(warnings.length, 1);
  t.match(summary, /^CN=old, valid until .* GMT$/);

  const good = pems.make("good");
  t.same(readCertificates(good, Date.now()).warnings, []);
  t.match(readCertificates(good, Date.now() - DAY).warnings, [/CN=good .* is not valid before /]);
  t.match(readCertificates({ ...good, clientCa: ca.cert }, Date.now() + 20 * DAY).warnings, [
    /CN=good .*expired/,
    /CN=authority in .*authority\.pem \(grpc\.clientCa\) expired/,
  ]);
  chmodSync(good.key, 0o644);
  t.match(readCertificates(good, Date.now()).warnings, [/every user of this machine can read the private key .*good\.key/]);
});

t.test("a chain, and a file that holds certificate and key", { skip }, async (t) => {
  const pems = new Pems(t);
  const ca = pems.make("authority", { ca: true });
  const server = pems.make("server", { by: ca });
  const chain = pems.write("chain.pem", `${pems.read("server.pem")}${pems.read("authority.pem")}`);
  t.equal(failure({ cert: chain, key: server.key }), "accepted");
  t.match(
    failure({ cert: pems.write("wrong.pem", `${pems.read("authority.pem")}${pems.read("server.pem")}`), key: server.key }),
    /in a chain the server's own certificate comes first/,
  );
  const both = pems.write("both.pem", `${pems.read("server.key")}${pems.read("server.pem")}`);
  t.equal(failure({ cert: both, key: both }), "accepted");
});
