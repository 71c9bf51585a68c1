import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openflowProtocol, type WireProtocol, wireDecode } from '../../../src/controller/cli/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'netloom-wire-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, hex: string): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.from(hex, 'hex'));
  return path;
}

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly lines: Record<string, unknown>[];
}

async function run(
  files: string[],
  options: { protocol?: string; jsonl?: boolean; stdin?: string[]; protocols?: WireProtocol[] } = {},
): Promise<Run> {
  const { protocol = 'openflow', jsonl = true, stdin = [], protocols } = options;
  let out = '';
  let err = '';
  async function* input(): AsyncGenerator<Buffer> {
    for (const chunk of stdin) yield Buffer.from(chunk);
  }
  const io = {
    stdin: input(),
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
  };
  const code = await wireDecode({ files, protocol, jsonl }, io, protocols);
  const lines = jsonl
    ? out
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    : [];
  return { code, out, err, lines };
}

const echo = '0402000a00000001abcd';
const barrier = '0414000800000002';

describe('netloom wire decode', () => {
  it('shows the messages of a file and what they encode to', async () => {
    const path = file('two.bin', echo + barrier);
    const { code, lines } = await run([path]);
    expect(code).toBe(0);
    expect(lines).toEqual([
      {
        file: path,
        ok: true,
        messages: [
          { version: 4, xid: 1, type: 'echoRequest', data: 'abcd' },
          { version: 4, xid: 2, type: 'barrierRequest' },
        ],
        bytes: 18,
        reencoded: echo + barrier,
        needMore: false,
      },
    ]);
  });

  it('says that the bytes end inside a message', async () => {
    const { code, lines } = await run([file('cut.bin', echo + barrier.slice(0, 10)), file('empty.bin', '')]);
    expect(code).toBe(0);
    expect(lines).toMatchObject([
      { ok: true, needMore: true, bytes: 10, reencoded: echo },
      { ok: true, needMore: true, bytes: 0, messages: [] },
    ]);
  });

  it('says what is wrong and where, and goes on with the next message', async () => {
    const path = file('bad.bin', `040500090000000100${barrier}`);
    const { code, lines } = await run([path]);
    expect(code).toBe(1);
    expect(lines).toMatchObject([
      {
        file: path,
        ok: false,
        error: { code: 'NL_WIRE', structure: 'ofp_header', field: 'length', offset: 8 },
        fatal: false,
        messages: [{ type: 'barrierRequest' }],
      },
    ]);
    expect((lines[0]!['error'] as { message: string }).message).toBe('ofp_header: length 1 bytes too many at byte 8');
  });

  it('calls it fatal when the framing is lost', async () => {
    const { code, lines } = await run([file('lost.bin', `${echo}0402000700000001${barrier}`)]);
    expect(code).toBe(1);
    expect(lines).toMatchObject([
      { ok: false, error: { code: 'NL_WIRE_FRAMING', offset: 12 }, fatal: true, bytes: 10 },
    ]);
  });

  it('reads one hex string a line from standard input, wherever the chunks are cut', async () => {
    const { code, lines } = await run(['-'], {
      stdin: [echo.slice(0, 5), `${echo.slice(5)}\n0x${barrier.toUpperCase()}\r\n`, 'zz\n', '04'],
    });
    expect(code).toBe(1);
    expect(lines).toMatchObject([
      { file: '-', line: 1, ok: true, bytes: 10 },
      { file: '-', line: 2, ok: true, bytes: 8 },
      { file: '-', line: 3, ok: false, error: { code: 'NL_WIRE_INPUT' } },
      { file: '-', line: 4, ok: true, needMore: true },
    ]);
  });

  it('names a file that cannot be read and reads the others', async () => {
    const { code, lines } = await run([join(folder, 'missing'), folder, file('good.bin', barrier)]);
    expect(code).toBe(1);
    expect(lines.map(({ ok }) => ok)).toEqual([false, false, true]);
    expect(lines[0]).toMatchObject({ error: { code: 'NL_WIRE_INPUT' } });
  });

  it('shows a message with type codes that nobody has, and says so', async () => {
    const packetOut = '040d00200000004dfffffffffffffffd00080000000000000063000800000000';
    const { lines } = await run([file('unknown.bin', packetOut)]);
    expect(lines).toMatchObject([
      {
        ok: false,
        fatal: false,
        error: { structure: 'ofp_action_header', field: 'type', reply: { type: 2, code: 0 } },
        messages: [{ type: 'packetOut', actions: [{ type: 'unknown', actionType: 99 }] }],
        reencoded: packetOut,
      },
    ]);
  });

  it('prints for people without --jsonl', async () => {
    const { out } = await run([file('plain.bin', barrier)], { jsonl: false });
    expect(out).toContain('1 messages, 8 bytes');
    expect(out).toContain('"type": "barrierRequest"');
  });

  it.each([
    ['lisp', 'is not available in this version'],
    ['ovsdb', 'is not available in this version'],
    ['smtp', 'is not known'],
  ])('refuses the protocol %s with exit code 2', async (protocol, words) => {
    const { code, out, err } = await run([file('x.bin', echo)], { protocol });
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toContain(words);
  });

  it('takes other protocols that are handed in', async () => {
    const lisp: WireProtocol = {
      name: 'lisp',
      decode: (bytes) => ({
        messages: ['{"a":1}'],
        bytes: bytes.length,
        reencoded: '',
        needMore: false,
        problems: [],
        fatal: false,
      }),
    };
    const { lines } = await run([file('l.bin', echo)], { protocol: 'lisp', protocols: [openflowProtocol, lisp] });
    expect(lines).toMatchObject([{ ok: true, messages: [{ a: 1 }], bytes: 10 }]);
  });

  it('stops when the time for a file is over, and says where', () => {
    let asked = 0;
    const result = openflowProtocol.decode(Buffer.from(barrier.repeat(10), 'hex'), () => ++asked > 4);
    expect(result).toMatchObject({ bytes: 32, fatal: true, problems: [{ code: 'NL_WIRE_VALUE', offset: 32 }] });
    expect(result.messages).toHaveLength(4);
  });
});
