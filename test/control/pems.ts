// Certificates for tests, made by openssl in a directory that goes when the test ends. Never committed.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";

export function noOpenssl(): false | string {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return false;
  } catch {
    return "openssl is not installed";
  }
}

export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate is for, beside its name. */
export interface Wanted {
  /** undefined: signed by itself. */
  readonly by?: Pair;
  /** Of validity; negative: over since then. */
  readonly days?: number;
  readonly ca?: boolean;
  /** subjectAltName, when not those of this machine. */
  readonly names?: string;
}

export class Pems {
  readonly directory = mkdtempSync(join(tmpdir(), "sluice-pems-"));

  constructor(t: Test) {
    t.teardown(() => rmSync(this.directory, { recursive: true }));
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  read(name: string): Buffer {
    return readFileSync(this.path(name));
  }

  write(name: string, content: string | Buffer): string {
    writeFileSync(this.path(name), content);
    return this.path(name);
  }

  /** Runs openssl in the directory. */
  openssl(...args: string[]): string {
    return execFileSync("openssl", args, { cwd: this.directory, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }

  /** NAME.pem and NAME.key: a certificate with that name as its CN. */
  make(name: string, { by, days = 2, ca = false, names = "DNS:localhost,IP:127.0.0.1" }: Wanted = {}): Pair {
    const key = this.path(`${name}.key`);
    const cert = this.path(`${name}.pem`);
    const request = this.path(`${name}.csr`);
    this.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key);
    execFileSync("chmod", ["600", key]);
    this.openssl("req", "-new", "-key", key, "-subj", `/CN=${name}`, "-out", request);
    const extensions = this.write(
      `${name}.ext`,
      `basicConstraints=critical,CA:${ca ? "TRUE" : "FALSE"}\nsubjectAltName=${names}\n`,
    );
    const signer = by === undefined ? ["-key", key] : ["-CA", by.cert, "-CAkey", by.key, "-CAcreateserial"];
    this.openssl("x509", "-req", "-in", request, "-extfile", extensions, "-days", String(days), ...signer, "-out", cert);
    return { cert, key };
  }
}
