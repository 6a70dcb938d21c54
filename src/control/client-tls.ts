// TLS of our own client: PEM files into credentials, and what a refused connection means.
//
// The server is verified against --ca alone; a system's roots are a file too (Debian: /etc/ssl/certs/ca-certificates.crt).
// Keys that need a passphrase are left out. No error is chained to one of OpenSSL's about a key, so that no text that a
// user is shown can hold any of it.

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { checkServerIdentity } from "node:tls";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { SluiceError } from "../errors.js";

/** File names. */
export interface TlsFiles {
  readonly ca: string;
  /** Both or neither. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
const KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----/;

export function tlsCredentials(files: TlsFiles): ChannelCredentials {
  const { cert, key } = files;
  const ca = certificates("--ca", files.ca);
  const identity = cert === undefined || key === undefined ? undefined : own(cert, key);
  return credentials.createSsl(ca, identity?.key ?? null, identity?.cert ?? null, {
    checkServerIdentity: (host, certificate) => {
      if (checkServerIdentity(host, certificate) === undefined) return undefined;
      return new Error(`${MISMATCH}${certificate.subjectaltname ?? "no name at all"}`);
    },
  });
}

function own(certFile: string, keyFile: string): { cert: Buffer; key: Buffer } {
  const cert = certificates("--cert", certFile);
  const key = read("--key", keyFile);
  // The first certificate of a chain is the client's.
  if (!new X509Certificate(cert).checkPrivateKey(privateKey(keyFile, key))) {
    throw new SluiceError("file", `--key ${keyFile} does not belong to --cert ${certFile}: give the key of that certificate`);
  }
  return { cert, key };
}

function certificates(option: string, file: string): Buffer {
  const content = read(option, file);
  const found = content.toString("latin1").match(CERTIFICATE) ?? [];
  if (found.length === 0) {
    throw new SluiceError("file", `${option} ${file} holds no certificate in PEM ("-----BEGIN CERTIFICATE-----"); ${HINT}`);
  }
  for (const [i, pem] of found.entries()) {
    try {
      new X509Certificate(pem);
    } catch (cause) {
      const which = found.length === 1 ? "its certificate" : `certificate ${i + 1} of ${found.length}`;
      throw new SluiceError("file", `${option} ${file}: ${which} is broken: ${why(cause)}`, { cause });
    }
  }
  return content;
}

const HINT = "from a DER file `openssl x509 -inform der -in FILE` makes one";

function privateKey(file: string, content: Buffer): KeyObject {
  const text = content.toString("latin1");
  if (!KEY.test(text)) {
    throw new SluiceError("file", `--key ${file} holds no private key in PEM ("-----BEGIN PRIVATE KEY-----")`);
  }
  if (text.includes("ENCRYPTED")) {
    const decrypt = `\`openssl pkey -in ${file}\` writes it without`;
    throw new SluiceError("file", `--key ${file} needs a passphrase, which is not supported: ${decrypt}`);
  }
  try {
    return createPrivateKey(content);
  } catch {
    throw new SluiceError("file", `--key ${file} holds a private key that is broken or of an unknown kind`);
  }
}

function read(option: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new SluiceError("file", `reading ${option} ${file} failed: ${why(cause)}`, { cause });
  }
}

function why(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Before the names that the certificate has. */
const MISMATCH = "the certificate is for ";
/** TCP did not come about, or there is no such host. */
const NOBODY = /\b(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|EADDRNOTAVAIL|EACCES|EPERM)\b|^Name resolution/;
const NOT_TLS = /wrong version number|packet length too long|record layer failure|unknown protocol/i;
const EXPIRED = /certificate (has expired|is not yet valid)/i;
const UNTRUSTED = /self[- ]signed certificate|unable to (verify|get)|signature failure|invalid CA|unsuitable|UNABLE_TO_|CERT_/i;

/**
 * What is wrong with a connection that was refused before the first call (`details` of grpc-js's UNAVAILABLE) and what to
 * change; undefined when nobody listens at all.
 */
export function refusedConnection(target: string, details: string, files: TlsFiles | undefined): string | undefined {
  if (NOBODY.test(details)) return undefined;
  const [, last = details] = /Last error: ([\s\S]*?)(?: \(\d{4}-[\d:.TZ-]+\))?\. Resolution note/.exec(details) ?? [];
  // Of OpenSSL's "80FC…:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:…" what it means.
  const [, openssl] = /:SSL routines:[^:]*:([^:]+):/.exec(last) ?? [];
  const reason = openssl ?? last.replace(/^Error( \[\w+\])?: /, "").trim();
  if (files === undefined) {
    return `what listens at ${target} does not speak plaintext gRPC (${reason}). If it is a device with TLS, add --ca FILE`;
  }
  const names = reason.split(MISMATCH)[1];
  if (names !== undefined) {
    return `the certificate of the device at ${target} is for ${names}: use such a name in --target, or another certificate`;
  }
  if (EXPIRED.test(reason)) return `the TLS certificate of the device at ${target} is out of date (${reason}): renew it there`;
  if (NOT_TLS.test(reason)) return `what listens at ${target} does not speak TLS. If it is a plaintext device, leave out --ca`;
  if (UNTRUSTED.test(reason)) {
    return `the certificate of the device at ${target} is not signed by --ca ${files.ca} (${reason}): give the CA that signed it`;
  }
  return files.cert === undefined
    ? `the device at ${target} ended the TLS handshake (${reason}). If it asks for a client certificate, add --cert and --key`
    : `the device at ${target} ended the TLS handshake (${reason}). Is --cert ${files.cert} signed by the CA that it trusts?`;
}
