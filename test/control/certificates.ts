// Test certificates, made by openssl in a directory of the test's own: a CA, what it signed, and what it did not.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certificates {
  readonly ca: string;
  /** For localhost and 127.0.0.1. */
  readonly server: Identity;
  /** For device.test only. */
  readonly named: Identity;
  /** Was valid for a day of the year 2020. */
  readonly expired: Identity;
  readonly client: Identity;
  /** Another CA, and a client that it signed. */
  readonly otherCa: string;
  readonly stranger: Identity;
}

export interface Identity {
  readonly cert: string;
  readonly key: string;
}

/** Undefined, or why there can be none. */
export function noOpenssl(): string | false {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return false;
  } catch {
    return "there is no openssl";
  }
}

export function makeCertificates(directory: string): Certificates {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: directory, stdio: ["ignore", "ignore", "pipe"] });
  const at = (name: string): Identity => ({ cert: join(directory, `${name}.pem`), key: join(directory, `${name}.key`) });
  const newKey = (name: string) => ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", at(name).key];
  const authority = (name: string): string => {
    openssl("req", "-x509", ...newKey(name), "-days", "2", "-subj", `/CN=${name}`, "-out", at(name).cert);
    return at(name).cert;
  };
  const signed = (name: string, ca: string, alternatives: string): Identity => {
    openssl("req", "-new", ...newKey(name), "-subj", `/CN=${name}`, "-out", `${name}.csr`);
    writeFileSync(join(directory, `${name}.ext`), `subjectAltName=${alternatives}\n`);
    const issuer = ["-CA", at(ca).cert, "-CAkey", at(ca).key, "-CAcreateserial", "-extfile", `${name}.ext`];
    openssl("x509", "-req", "-in", `${name}.csr`, ...issuer, "-days", "2", "-out", at(name).cert);
    return at(name);
  };
  /** `openssl ca` is what can date a certificate back. */
  const dated = (name: string, ca: string): Identity => {
    openssl("req", "-new", ...newKey(name), "-subj", `/CN=${name}`, "-out", `${name}.csr`);
    writeFileSync(join(directory, "index"), "");
    const lines = ["[ca]", "default_ca=d", "[d]", "database=index", "new_certs_dir=.", "rand_serial=yes", "policy=p"];
    const text = [...lines, "[p]", "commonName=supplied", "[e]", "subjectAltName=DNS:localhost", ""].join("\n");
    writeFileSync(join(directory, "ca.conf"), text);
    const issuer = ["-cert", at(ca).cert, "-keyfile", at(ca).key, "-md", "sha256", "-extensions", "e"];
    const dates = ["-startdate", "200101000000Z", "-enddate", "200102000000Z"];
    openssl("ca", "-batch", "-notext", "-config", "ca.conf", ...issuer, ...dates, "-in", `${name}.csr`, "-out", at(name).cert);
    return at(name);
  };
  const ca = authority("ca");
  const otherCa = authority("other");
  return {
    ca,
    otherCa,
    server: signed("server", "ca", "DNS:localhost,IP:127.0.0.1"),
    named: signed("named", "ca", "DNS:device.test"),
    expired: dated("expired", "ca"),
    client: signed("client", "ca", "DNS:client"),
    stranger: signed("stranger", "other", "DNS:stranger"),
  };
}
