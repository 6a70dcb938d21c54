// The PEM files of the control channel, read and checked before anything is done with them: an error names the file, what is
// wrong with it and what to do. No error and no warning holds a byte of a private key, and none has OpenSSL's own as its cause.
//
// A chain is not followed to a root: that is the client's work. Revocation lists are not read; a client whose certificate is
// no longer wanted is kept out by another clientCa.

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { TlsConfig } from "../config/config.js";
import { SluiceError } from "../errors.js";

export interface Certificates {
  /** PEM: the server's own, then those above it. */
  readonly cert: Buffer;
  readonly key: Buffer;
  /** PEM: who may sign clients' certificates; undefined: clients show none. */
  readonly ca: Buffer | undefined;
  /** For the log: "CN=localhost, valid until Nov 22 12:00:00 2026 GMT". */
  readonly summary: string;
  /** What will make clients fail, or harm the key, but does not keep the server from using the files. */
  readonly warnings: readonly string[];
}

/** @param now milliseconds since the epoch */
export function readCertificates(files: TlsConfig, now: number): Certificates {
  const cert = read("certificate", "grpc.cert", files.cert);
  const key = read("private key", "grpc.key", files.key);
  const [own, ...above] = parseCertificates("certificate", "grpc.cert", files.cert, cert);
  const privateKey = parseKey(files.key, key);
  if (!own.checkPrivateKey(privateKey)) {
    const remedy =
      "Set grpc.cert and grpc.key to files that were made together; in a chain the server's own certificate comes first";
    throw problem(
      `the private key ${files.key} (grpc.key) does not belong to the certificate ${files.cert} (grpc.cert). ${remedy}`,
    );
  }
  const warnings = [own, ...above].flatMap((one) => validity(`${files.cert} (grpc.cert)`, one, now));
  if ((statSync(files.key).mode & 0o004) !== 0) {
    warnings.push(`every user of this machine can read the private key ${files.key} (grpc.key): chmod 600 keeps it from them`);
  }
  let ca: Buffer | undefined;
  if (files.clientCa !== undefined) {
    ca = read("certificate", "grpc.clientCa", files.clientCa);
    for (const one of parseCertificates("certificate", "grpc.clientCa", files.clientCa, ca)) {
      warnings.push(...validity(`${files.clientCa} (grpc.clientCa)`, one, now));
    }
  }
  tryContext(files, { cert, key, ca });
  return { cert, key, ca, summary: `${name(own)}, valid until ${own.validTo}`, warnings };
}

function problem(text: string): SluiceError {
  return new SluiceError("grpc", text);
}

const READ_ERRORS: Record<string, string> = {
  ENOENT: "there is no such file. Names are relative to the working directory",
  EACCES: "permission denied. The user that sluice runs as must be able to read it",
  EISDIR: "it is a directory. Name the file in it",
};

function read(what: string, key: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw problem(`reading the ${what} ${path} (${key}) failed: ${READ_ERRORS[code] ?? code}`);
  }
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** The first byte of DER: a SEQUENCE (X.690, 8.9). */
const DER = 0x30;

function parseCertificates(what: string, key: string, path: string, pem: Buffer): [X509Certificate, ...X509Certificate[]] {
  const which = `the ${what} ${path} (${key})`;
  const blocks = pem.toString("latin1").match(CERTIFICATE) ?? [];
  const parsed = blocks.map((block, i) => {
    try {
      return new X509Certificate(block);
    } catch {
      const place = blocks.length === 1 ? "it" : `block ${i + 1} of ${blocks.length}`;
      throw problem(`${which}: ${place} is no X.509 certificate. Is the file complete? openssl x509 -in ${path} -text shows it`);
    }
  });
  const [first, ...more] = parsed;
  if (first !== undefined) return [first, ...more];
  if (pem[0] === DER) {
    throw problem(`${which} is in DER form. openssl x509 -inform der -in ${path} writes it in PEM form, which is expected`);
  }
  const found = pem.includes("PRIVATE KEY-----")
    ? "a private key. Are grpc.cert and grpc.key exchanged?"
    : "no certificate in it.";
  throw problem(`${which} has ${found} It is to begin with -----BEGIN CERTIFICATE-----`);
}

function parseKey(path: string, pem: Buffer): KeyObject {
  const which = `the private key ${path} (grpc.key)`;
  try {
    return createPrivateKey(pem);
  } catch {
    // BEGIN ENCRYPTED PRIVATE KEY (PKCS #8), or Proc-Type: 4,ENCRYPTED (RFC 1421)
    if (pem.includes("ENCRYPTED")) {
      throw problem(
        `${which} is locked by a passphrase, which sluice does not ask for. openssl pkey -in ${path} writes it without`,
      );
    }
    if (pem[0] === DER) {
      throw problem(`${which} is in DER form. openssl pkey -inform der -in ${path} writes it in PEM form, which is expected`);
    }
    const found = pem.includes("BEGIN CERTIFICATE-----")
      ? "a certificate. Are grpc.cert and grpc.key exchanged?"
      : "no private key in it.";
    throw problem(`${which} has ${found} It is to begin with -----BEGIN PRIVATE KEY-----`);
  }
}

/** What only OpenSSL knows, such as a key that is too short for its security level. */
function tryContext(files: TlsConfig, pems: Pick<Certificates, "cert" | "key" | "ca">): void {
  try {
    createSecureContext(pems);
  } catch (cause) {
    const reason = cause instanceof Error && "reason" in cause ? String(cause.reason) : "unknown reason";
    throw problem(`OpenSSL refuses the certificate ${files.cert} (grpc.cert) or what belongs to it: ${reason}. Make a new one`);
  }
}

function validity(which: string, certificate: X509Certificate, now: number): string[] {
  const remedy = "Clients will refuse the connection until there is a valid one; SIGHUP reads it without a restart";
  if (now > Date.parse(certificate.validTo)) {
    return [`the certificate ${name(certificate)} in ${which} expired on ${certificate.validTo}. ${remedy}`];
  }
  if (now < Date.parse(certificate.validFrom)) {
    return [`the certificate ${name(certificate)} in ${which} is not valid before ${certificate.validFrom}. ${remedy}`];
  }
  return [];
}

/** "CN=localhost, O=Example" */
function name(certificate: X509Certificate): string {
  return certificate.subject?.replaceAll("\n", ", ") || "without a name";
}
