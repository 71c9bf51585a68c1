import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeLisp, encodeLisp, isAuthentic, type LispMessage } from '../../src/overlay-gw/lisp/index.ts';

/** LISP messages made by three other implementations. They are theirs and stay where they are: `../shared/vectors`. */

const shared = join(process.env['NETLOOM_SHARED'] ?? join(process.cwd(), '../shared'), 'vectors');
const here = existsSync(join(shared, 'lisp/index.json'));
if (!here) console.log(`skipped: LISP messages of other implementations: there is no ${shared}`);

interface Recorded {
  readonly file: string;
  readonly hex: string;
  readonly kind?: string;
  readonly tshark_ok?: boolean;
  readonly decoded_by_tshark?: Readonly<Record<string, unknown>>;
  readonly auth?: Readonly<Record<string, unknown>>;
}
interface Index {
  readonly shared_key?: string;
  readonly messages: readonly Recorded[];
}
const load = (folder: string): Index =>
  here ? (JSON.parse(readFileSync(join(shared, folder, 'index.json'), 'utf8')) as Index) : { messages: [] };

/** Messages that break the specification: cut short, or with lengths that do not fit what follows. */
const broken = new Set(['006', '015', '025', '026', '027', '028', '029', '030', '034', '036'].map((n) => `odl-${n}`));
const isBroken = (file: string): boolean => broken.has(file.slice(0, 7));

const number = (value: unknown): number => Number(value);

/** What tshark says of a message, in our words, as far as both say it. */
function compare(message: LispMessage, said: Readonly<Record<string, unknown>>): void {
  if (message.type === 'unknown' || message.type === 'encapsulated') return;
  if (said['lisp.nonce'] !== undefined) expect(`0x${message.nonce}`).toBe(said['lisp.nonce']);
  if ('auth' in message && said['lisp.keyid'] !== undefined) {
    expect(message.auth.keyId).toBe(number(said['lisp.keyid']));
    expect(message.auth.data.toString('hex')).toBe(String(said['lisp.auth']).replaceAll(':', ''));
  }
  const mappings = [said['lisp.mapping'] ?? []].flat() as Readonly<Record<string, unknown>>[];
  if (!('records' in message) || message.type === 'mapRequest' || mappings.length !== message.records.length) return;
  message.records.forEach((record, i) => {
    const theirs = mappings[i]!;
    if ('ttl' in record) {
      expect(record.ttl).toBe(number(theirs['lisp.mapping.ttl']));
      expect(record.locators).toHaveLength(number(theirs['lisp.mapping.loccnt']));
      expect(record.action).toBe(number(theirs['lisp.mapping.act']));
    }
    expect(record.maskLength).toBe(number(theirs['lisp.mapping.eid.masklen']));
    const { eid } = record;
    for (const afi of ['ipv4', 'ipv6'] as const) {
      if (eid.afi === afi && theirs[`lisp.mapping.eid.${afi}`])
        expect(eid.address).toBe(theirs[`lisp.mapping.eid.${afi}`]);
    }
  });
}

describe.skipIf(!here).each(['lisp', 'lisp-odl', 'lisp-lispers'])('messages of %s', (folder) => {
  const { messages, shared_key: common } = load(folder);

  it.each(messages.filter(({ file }) => !isBroken(file)).map((each) => [each.file, each] as const))(
    '%s decodes, says what tshark says, and comes back byte for byte',
    (_, { hex, decoded_by_tshark: said, tshark_ok: ok = true }) => {
      const message = decodeLisp(Buffer.from(hex, 'hex'));
      expect(encodeLisp(message).toString('hex')).toBe(hex);
      if (ok && said) compare(message, said);
    },
  );

  it('are signed with the keys that are said, and with no other', () => {
    let verified = 0;
    for (const { file, hex, auth } of messages) {
      if (!auth || isBroken(file)) continue;
      const bytes = Buffer.from(hex, 'hex');
      const message = decodeLisp(bytes);
      if (!('auth' in message)) continue;
      const said =
        auth['verified'] ?? auth['verifies_with_key_password'] ?? auth['verified_plain_hmac_over_whole_message'];
      const key = String(auth['shared_key'] ?? common);
      expect(isAuthentic(bytes, message.auth, key), file).toBe(said === true);
      expect(isAuthentic(bytes, message.auth, `${key}x`), file).toBe(false);
      if (said === true) verified++;
    }
    expect(verified).toBeGreaterThan(4);
  });

  it.each(messages.filter(({ file }) => isBroken(file)).map((each) => [each.file, each.hex] as const))(
    '%s is refused with the place where it goes wrong',
    (_, hex) => {
      expect(() => decodeLisp(Buffer.from(hex, 'hex'))).toThrow(/ at byte \d+$/);
    },
  );
});
