import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

/** Paths of PEM files: a key, its certificate, and the authority that its holder trusts. */
export interface Credentials {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** A certificate authority of a test's own, made by `openssl`; its files are gone after `remove`. */
export class Authority {
  readonly folder = mkdtempSync(join(tmpdir(), 'netloom-ca-'));
  /** Path of its certificate. */
  readonly ca = join(this.folder, 'ca.pem');

  constructor() {
    const subject = ['-subj', `/CN=${basename(this.folder)}`];
    this.openssl('req', '-x509', ...CURVE, '-days', '2', '-keyout', 'ca.key', '-out', this.ca, ...subject);
  }

  /** Signs a certificate for this name. */
  issue(name: string): Credentials {
    const sign = ['-CA', this.ca, '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2'];
    this.openssl('req', ...CURVE, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    this.openssl('x509', '-req', '-in', `${name}.csr`, ...sign, '-out', `${name}.pem`);
    return { key: join(this.folder, `${name}.key`), cert: join(this.folder, `${name}.pem`), ca: this.ca };
  }

  /** Runs `openssl` in the authority's folder. */
  openssl(...parameters: readonly string[]): string {
    return execFileSync('openssl', parameters, {
      cwd: this.folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}
