import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A well-formed message with what others say about it; see the README beside the shared vectors. */
export interface Vector {
  readonly id: string;
  readonly bytes: Buffer;
  readonly type: string;
  readonly roundtrip: boolean;
  readonly expected: { readonly kind: string; readonly value?: unknown };
  readonly osKen?: unknown;
}

/** A message, or stream, that is wrong; `class` says how a decoder must take it. */
export interface Malformed {
  readonly id: string;
  readonly bytes: Buffer;
  readonly class: string;
  /** Says that the structure is fine after all. */
  readonly codec?: string;
  readonly expect: { readonly do: string };
}

interface IndexLine {
  readonly id: string;
  readonly file: string;
  readonly type: string;
  readonly roundtrip: boolean;
  readonly origin: { readonly repo: string };
  readonly expected: { readonly kind: string; readonly value?: unknown };
  readonly os_ken?: unknown;
}

const shared = process.env['NETLOOM_SHARED'] ?? join(process.cwd(), '..', 'shared');
const folder = join(shared, 'vectors');

/** Why the shared vectors cannot be read here; undefined when they can. */
export const whyNotShared = existsSync(join(folder, 'index.json'))
  ? undefined
  : `no shared vectors in ${folder} (NETLOOM_SHARED names another place)`;

/** All well-formed vectors of the shared folder. */
export function sharedVectors(): Vector[] {
  if (whyNotShared !== undefined) return [];
  const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as IndexLine[];
  return index.map(({ id, file, type, roundtrip, expected, os_ken }) => ({
    id,
    type,
    roundtrip,
    expected,
    bytes: readFileSync(join(folder, file)),
    ...(os_ken === undefined ? {} : { osKen: os_ken }),
  }));
}

/** All malformed vectors of the shared folder. */
export function sharedMalformed(): Malformed[] {
  if (whyNotShared !== undefined) return [];
  const index = JSON.parse(readFileSync(join(folder, 'malformed/index.json'), 'utf8')) as (Malformed & {
    file: string;
  })[];
  return index.map((line) => ({ ...line, bytes: readFileSync(join(folder, line.file)) }));
}

function lines(name: string): unknown[] {
  const text = readFileSync(join(import.meta.dirname, 'data', name), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
}

/** The project's own copy of those vectors that we captured or constructed. */
export function ownVectors(): Vector[] {
  return (lines('messages.jsonl') as (Omit<Vector, 'bytes'> & { hex: string })[]).map(({ hex, ...rest }) => ({
    ...rest,
    bytes: Buffer.from(hex, 'hex'),
  }));
}

/** The project's own copy of those malformed vectors that we constructed. */
export function ownMalformed(): Malformed[] {
  return (lines('malformed.jsonl') as (Omit<Malformed, 'bytes'> & { hex: string })[]).map(({ hex, ...rest }) => ({
    ...rest,
    bytes: Buffer.from(hex, 'hex'),
  }));
}
