import { open } from 'node:fs/promises';
import { openflowProtocol } from './wire-openflow.ts';

/** What was wrong with some bytes, as `netloom wire decode` tells it. */
export interface WireProblem {
  /** `NL_WIRE…`, see docs/errors.md. */
  readonly code: string;
  readonly message: string;
  readonly structure: string;
  readonly field: string;
  /** Offset in the file. */
  readonly offset: number;
  /** The OFPT_ERROR that OpenFlow would answer with. */
  readonly reply?: { readonly type: number; readonly code: number };
}

/** What a protocol makes of the bytes of one file. */
export interface WireResult {
  /** Decoded messages, already JSON text, in order. */
  readonly messages: readonly string[];
  /** Bytes that whole messages took. */
  readonly bytes: number;
  /** Encoding of the decoded messages, in hex. */
  readonly reencoded: string;
  /** The bytes end inside a message. */
  readonly needMore: boolean;
  /** Problems in order; empty when all is well. */
  readonly problems: readonly WireProblem[];
  /** Framing is lost: what follows the first problem could not be read. */
  readonly fatal: boolean;
}

/** A protocol that the tool can read. Others than OpenFlow are handed in by who has them. */
export interface WireProtocol {
  readonly name: string;
  /** Decodes a capture. Never throws for its contents; stops when `expired` says so. */
  decode(bytes: Buffer, expired: () => boolean): WireResult;
}

/** Where the tool reads and writes. */
export interface WireIo {
  readonly stdin: AsyncIterable<Uint8Array>;
  out(text: string): void | Promise<void>;
  err(text: string): void | Promise<void>;
}

/** What the command line says. */
export interface WireOptions {
  readonly files: readonly string[];
  readonly protocol: string;
  readonly jsonl: boolean;
}

const known = ['openflow', 'lisp', 'ovsdb'];
const failed = 1;
const usage = 2;
/** Time for one file, decoding and reading together; the promise is a second. */
const budgetMs = 400;
/** Bytes read of one file. */
const maxBytes = 32 * 1024 * 1024;

/**
 * `netloom wire decode`. Resolves to the exit code: 0, 1 when something could not be decoded or read, 2 for a protocol that
 * is not there. `protocols` are those available.
 */
export async function wireDecode(
  options: WireOptions,
  io: WireIo,
  protocols: readonly WireProtocol[] = [openflowProtocol],
): Promise<number> {
  const protocol = protocols.find(({ name }) => name === options.protocol);
  if (protocol === undefined) {
    const there = protocols.map(({ name }) => name).join(', ');
    const what = known.includes(options.protocol) ? 'is not available in this version' : 'is not known';
    await io.err(`wire decode: protocol ${options.protocol} ${what}; there is: ${there}\n`);
    return usage;
  }
  let code = 0;
  const show = async (source: Source): Promise<void> => {
    const { text, ok } = report(source, protocol, options.jsonl);
    if (!ok) code = failed;
    await io.out(text);
  };
  for (const file of options.files) {
    if (file === '-') for await (const source of hexLines(io.stdin)) await show(source);
    else await show(await readSource(file));
  }
  return code;
}

/** Bytes to decode, or why there are none. */
interface Source {
  readonly file: string;
  readonly line?: number;
  readonly startedAt: number;
  readonly bytes?: Buffer;
  readonly problem?: WireProblem;
}

function unreadable(message: string, offset = 0): WireProblem {
  return { code: 'NL_WIRE_INPUT', message, structure: 'file', field: 'contents', offset };
}

async function readSource(file: string): Promise<Source> {
  const startedAt = performance.now();
  const late = new AbortController();
  const reading = readFileUpTo(file, late.signal).catch((error: unknown): Omit<Source, 'file' | 'startedAt'> => {
    return { problem: unreadable(error instanceof Error ? error.message : String(error)) };
  });
  // Opening or reading a pipe that nobody writes to never ends by itself.
  const limit = new Promise<Omit<Source, 'file' | 'startedAt'>>((resolve) => {
    const timer = setTimeout(() => {
      late.abort();
      resolve({ problem: unreadable(`nothing to read within ${budgetMs} ms`) });
    }, budgetMs);
    void reading.then(() => clearTimeout(timer));
  });
  return { file, startedAt, ...(await Promise.race([reading, limit])) };
}

async function readFileUpTo(file: string, late: AbortSignal): Promise<Omit<Source, 'file' | 'startedAt'>> {
  const handle = await open(file, 'r');
  try {
    const chunks: Buffer[] = [];
    let size = 0;
    while (!late.aborted) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(256 * 1024), 0, 256 * 1024, null);
      if (bytesRead === 0) break;
      size += bytesRead;
      if (size > maxBytes)
        return { problem: unreadable(`is larger than ${maxBytes} bytes; cut it into pieces`, maxBytes) };
      chunks.push(buffer.subarray(0, bytesRead));
    }
    return { bytes: Buffer.concat(chunks) };
  } finally {
    await handle.close();
  }
}

/** One source a line of hex; spaces and a leading 0x are let pass. */
async function* hexLines(stdin: AsyncIterable<Uint8Array>): AsyncGenerator<Source> {
  let parts: Buffer[] = [];
  let size = 0;
  let line = 0;
  const source = (): Source => {
    line++;
    const text = Buffer.concat(parts).toString('latin1');
    const tooLong = size > 2 * maxBytes;
    parts = [];
    size = 0;
    const base = { file: '-', line, startedAt: performance.now() };
    if (tooLong) return { ...base, problem: unreadable(`line ${line} is longer than ${2 * maxBytes} digits`) };
    const hex = text.replace(/[\s:]/g, '').replace(/^0[xX]/, '');
    const bad = /[^0-9a-fA-F]/.exec(hex);
    if (bad !== null) return { ...base, problem: unreadable(`line ${line} is not hex`, bad.index >> 1) };
    if (hex.length % 2 === 1)
      return { ...base, problem: unreadable(`line ${line} ends in half a byte`, hex.length >> 1) };
    return { ...base, bytes: Buffer.from(hex, 'hex') };
  };
  const add = (piece: Buffer): void => {
    size += piece.length;
    if (size <= 2 * maxBytes && piece.length > 0) parts.push(piece);
  };
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    let from = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
      add(bytes.subarray(from, end));
      yield source();
      from = end + 1;
    }
    add(bytes.subarray(from));
  }
  if (size > 0) yield source();
}

function report(source: Source, protocol: WireProtocol, jsonl: boolean): { text: string; ok: boolean } {
  const place = source.line === undefined ? { file: source.file } : { file: source.file, line: source.line };
  const result: WireResult =
    source.bytes === undefined
      ? { messages: [], bytes: 0, reencoded: '', needMore: false, problems: [source.problem!], fatal: true }
      : protocol.decode(source.bytes, () => performance.now() - source.startedAt > budgetMs);
  const ok = result.problems.length === 0;
  return { ok, text: jsonl ? jsonLine(place, result, ok) : plainText(place, result) };
}

function jsonLine(place: { file: string; line?: number }, result: WireResult, ok: boolean): string {
  const head = JSON.stringify({ ...place, ok }).slice(0, -1);
  const trouble = ok
    ? ''
    : `,"error":${JSON.stringify(result.problems[0])},"fatal":${result.fatal}${
        result.problems.length > 1 ? `,"errors":${JSON.stringify(result.problems)}` : ''
      }`;
  const rest = JSON.stringify({ bytes: result.bytes, reencoded: result.reencoded, needMore: result.needMore });
  return `${head}${trouble},"messages":[${result.messages.join(',')}],${rest.slice(1)}\n`;
}

function plainText(place: { file: string; line?: number }, result: WireResult): string {
  const name = place.line === undefined ? place.file : `line ${place.line}`;
  const lines = [`# ${name}: ${result.messages.length} messages, ${result.bytes} bytes`];
  for (const message of result.messages) lines.push(JSON.stringify(JSON.parse(message), null, 2));
  for (const { code, message } of result.problems) lines.push(`# ${name}: ${code}: ${message}`);
  if (result.fatal) lines.push(`# ${name}: nothing could be read after that`);
  if (result.needMore) lines.push(`# ${name}: ends inside a message`);
  return `${lines.join('\n')}\n`;
}
