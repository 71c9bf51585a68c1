import { describe, expect, it } from 'vitest';
import { createLogger, type LoggerOptions } from '../../../src/controller/telemetry/index.ts';

const capture = (level: LoggerOptions['level'] = 'info') => {
  const written: string[] = [];
  const log = createLogger({ ...(level ? { level } : {}), destination: { write: (line) => written.push(line) } });
  return { log, parsed: () => written.map((line) => JSON.parse(line) as Record<string, unknown>), written };
};

describe('logger', () => {
  it('writes one JSON object a line, with the level by name and the time in ISO form', () => {
    const { log, parsed } = capture();
    log.child({ part: 'store' }).warn({ revision: 7 }, 'slow');
    expect(parsed()).toEqual([
      { level: 'warn', time: expect.stringMatching(/^\d{4}-.*Z$/), part: 'store', revision: 7, msg: 'slow' },
    ]);
  });

  it('never writes what is named like a secret', () => {
    const { log, written } = capture();
    log.info(
      {
        token: 'S3',
        request: { authorization: 'Bearer S3', headers: { authorization: 'S3' } },
        tls: { key: 'S3' },
        headers: { authorization: 'S3' },
      },
      'x',
    );
    expect(written.join()).not.toContain('S3');
    expect(written.join()).toContain('[redacted]');
  });

  it('writes 64-bit values with all digits', () => {
    const { log, parsed } = capture();
    log.info({ cookie: undefined, value: 18446744073709551614n }, 'x');
    expect(parsed()).toMatchObject([{ value: '18446744073709551614' }]);
  });

  it('tells errors with their kind, code and cause', () => {
    const { log, written } = capture();
    log.error({ err: new Error('outer', { cause: new Error('inner') }) }, 'failed');
    expect(written.join()).toContain('outer');
    expect(written.join()).toContain('inner');
  });

  it('is quiet below its level', () => {
    const { log, written } = capture('warn');
    log.info({}, 'x');
    log.debug({}, 'x');
    expect(written).toEqual([]);
  });
});
