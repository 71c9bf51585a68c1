import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  ClosedError,
  ConflictError,
  InvariantError,
  RequestError,
  StoreError,
  TimeoutError,
} from '../../../src/controller/kernel/index.ts';
import { errorCodes, errorsMarkdown, toProblem } from '../../../src/controller/northbound/index.ts';

const sources = join(import.meta.dirname, '../../../src');

describe('error codes', () => {
  it('that the sources use are all in the table, and so in docs/errors.md', () => {
    const used = new Set<string>();
    for (const file of readdirSync(sources, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue;
      for (const [code] of readFileSync(join(sources, file), 'utf8').matchAll(/\bNL_[A-Z]+(_[A-Z]+)*\b/g))
        used.add(code);
    }
    expect([...used].filter((code) => !Object.hasOwn(errorCodes, code))).toEqual([]);
    expect(Object.keys(errorCodes).filter((code) => !used.has(code))).toEqual([]);
    for (const code of used) expect(errorsMarkdown()).toContain(`\`${code}\``);
  });
});

describe('problem documents', () => {
  it.each([
    [
      new RequestError(409, 'NL_IN_USE', 'used', [], { users: ['/v1/x'] }),
      { status: 409, code: 'NL_IN_USE', users: ['/v1/x'] },
    ],
    [new ConflictError('c'), { status: 409, code: 'NL_CONFLICT', detail: 'c' }],
    [new StoreError('disk full'), { status: 503, code: 'NL_STORE', detail: 'disk full' }],
    [new TimeoutError('barrier', 5), { status: 504, code: 'NL_TIMEOUT' }],
    [new ClosedError('gone'), { status: 503, code: 'NL_CLOSED' }],
    [Object.assign(new Error('x'), { statusCode: 413 }), { status: 413, code: 'NL_TOO_LARGE' }],
    [Object.assign(new Error('x'), { statusCode: 418 }), { status: 418, code: 'NL_INVALID' }],
    [Object.assign(new Error('x'), { statusCode: 500 }), { status: 500, code: 'NL_INTERNAL' }],
  ])('say what %s means', (error, expected) => {
    expect(toProblem(error)).toMatchObject(expected);
  });

  it.each([[new InvariantError('secret')], [new Error('secret')], ['secret'], [undefined], [{ code: 'toString' }]])(
    'do not show the inside of a bug: %s',
    (error) => {
      const problem = toProblem(error);
      expect(problem.status).toBe(500);
      expect(JSON.stringify(problem)).not.toContain('secret');
    },
  );

  it('cannot have their own members replaced by details', () => {
    const error = new RequestError(400, 'NL_INVALID', 'x', [], { status: 200, code: 'OK', title: 't', more: 1 });
    expect(toProblem(error)).toMatchObject({ status: 400, code: 'NL_INVALID', more: 1 });
  });
});
