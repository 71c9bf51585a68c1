import { describe, expect, it } from 'vitest';
import {
  decodeMessage,
  encodeActions,
  encodeMessage,
  errorExperimenter,
  errorName,
  FlowModCommand,
  flowModSize,
  fromJson,
  Group,
  helloSpeaks13,
  joinReplies,
  type Message,
  type MessageOf,
  MultipartType,
  PacketInReader,
  Port,
  portNames,
  Reassembler,
  TableId,
  toJson,
  WireError,
  writeEchoReply,
  writeFlowMod,
  writeOutput,
  writePacketOutHeader,
} from '../../../src/ofproto/index.ts';

const decode = (hex: string): Message => decodeMessage(Buffer.from(hex, 'hex'), 0, hex.length / 2);

/** The error of decoding, which must be ours. */
function fault(hex: string): WireError {
  try {
    decode(hex);
  } catch (error) {
    if (error instanceof WireError) return error;
    throw error;
  }
  throw new Error('decoded');
}

describe('lengths of zero (FC-01)', () => {
  it.each([
    ['hello element', '04000010000000010001000000000010', 10],
    [
      'flow-stats entry',
      '04130048000000210001000000000000000000000000000100000000000a0000000000000000000000000000000000000000000000000001000000000000003c0001000400000000',
      16,
    ],
    [
      'flow-stats instruction',
      '04130050000000210001000000000000004000000000000100000000000a0000000000000000000000000000000000000000000000000001000000000000003c00010004000000000004000000000000',
      74,
    ],
    [
      'flow-stats action',
      '04130060000000210001000000000000005000000000000100000000000a0000000000000000000000000000000000000000000000000001000000000000003c000100040000000000040018000000000000000000000001ffff000000000000',
      82,
    ],
    [
      'flow-stats entry beyond the message',
      '04130048000000210001000000000000100000000000000100000000000a0000000000000000000000000000000000000000000000000001000000000000003c0001000400000000',
      16,
    ],
    ['bucket', '04130028000000210007000000000000001800000000000100000001ffffffffffffffff00000000', 24],
  ])('of a %s is refused with its offset', (_, hex, at) => {
    const error = fault(hex);
    expect(error.code).toBe('NL_WIRE');
    expect(error.at).toBe(at);
    expect(error.message).toContain(`at byte ${at}`);
  });
});

describe('port names (FC-05)', () => {
  const hex =
    '041300d000000021000d000000000000fffffffe000000000200000000fe00004f4650505f4c4f43414c0081ffffffff000000000000000400000000000000000000000000000000009896800000000000000003000000000200000000030000c328fffe6574680000000000000000000000000000000000000000000000000000000000000000000098968000000000000000040000000002000000000400006162636465666768696a6b6c6d6e6f7000000000000000040000000000000000000000000000000000989680' +
    '00000000';
  const message = decode(hex) as MessageOf<'multipartReply'> & { mp: 'portDesc' };

  it('end at the first NUL; what is no text is replaced; a full one is whole', () => {
    expect(message.ports.map(({ portNo, name }) => [portNo, name])).toEqual([
      [0xffff_fffe, 'OFPP_LOCAL'],
      [3, '\ufffd(\ufffd\ufffdeth'],
      [4, 'abcdefghijklmnop'],
    ]);
  });

  it('are written back as they came, also through JSON', () => {
    expect(encodeMessage(message).toString('hex')).toBe(hex);
    expect(encodeMessage(fromJson(JSON.parse(JSON.stringify(toJson(message))))).toString('hex')).toBe(hex);
  });
});

describe('reserved numbers (FC-06)', () => {
  it('are unsigned and have the names of the specification', () => {
    expect([Port.local, Port.controller, Port.inPort, Port.flood]).toEqual([
      0xffff_fffe, 0xffff_fffd, 0xffff_fff8, 0xffff_fffb,
    ]);
    expect([...portNames.values()]).toEqual([
      'IN_PORT',
      'TABLE',
      'NORMAL',
      'FLOOD',
      'ALL',
      'CONTROLLER',
      'LOCAL',
      'ANY',
    ]);
    expect(encodeActions([{ type: 'output', port: Port.local, maxLen: 0 }]).readUInt32BE(4)).toBe(0xffff_fffe);
  });

  it('a delete by the fast writer filters by nothing', () => {
    const flow = {
      tableId: TableId.all,
      priority: 0,
      idleTimeout: 0,
      hardTimeout: 0,
      flags: 0,
      match: Buffer.from('0001000400000000', 'hex'),
      instructions: Buffer.alloc(0),
    };
    const bytes = Buffer.alloc(flowModSize(flow));
    expect(writeFlowMod(bytes, 0, 7, FlowModCommand.delete, 0, 0, flow)).toBe(bytes.length);
    expect(decodeMessage(bytes, 0, bytes.length)).toMatchObject({
      type: 'flowMod',
      xid: 7,
      tableId: 255,
      command: 3,
      outPort: Port.any,
      outGroup: Group.any,
      cookieMask: 0n,
    });
  });
});

describe('multipart in pieces (FC-07)', () => {
  const pieces = [
    '0413005000000031000d00010000000000000001000000000200000000010000703100000000000000000000000000000000000000000004000000000000000000000000000000000098968000000000',
    '0413005000000031000d00010000000000000002000000000200000000020000703200000000000000000000000000000000000000000004000000000000000000000000000000000098968000000000',
    '0413001000000031000d000000000000',
  ].map((hex) => Buffer.from(hex, 'hex'));
  const add = (reassembler: Reassembler, piece: Buffer): ReturnType<Reassembler['add']> =>
    reassembler.add(piece, 0, piece.length);

  it('gives one result after the last piece', () => {
    const reassembler = new Reassembler();
    reassembler.open(0x31, MultipartType.portDesc);
    expect(add(reassembler, pieces[0]!)).toEqual({ state: 'more' });
    expect(add(reassembler, pieces[1]!)).toEqual({ state: 'more' });
    const last = add(reassembler, pieces[2]!);
    expect(last.state).toBe('done');
    expect(joinReplies(last.state === 'done' ? last.pieces : [])).toMatchObject({
      mp: 'portDesc',
      flags: 0,
      ports: [{ portNo: 1 }, { portNo: 2 }],
    });
    expect(reassembler.size).toBe(0);
  });

  it('keeps apart requests whose pieces alternate', () => {
    const other = pieces.map((piece) => {
      const copy = Buffer.from(piece);
      copy.writeUInt32BE(0x32, 4);
      return copy;
    });
    const reassembler = new Reassembler();
    reassembler.open(0x31, MultipartType.portDesc);
    reassembler.open(0x32, MultipartType.portDesc);
    const states = [0, 1, 2].flatMap((i) => [add(reassembler, pieces[i]!).state, add(reassembler, other[i]!).state]);
    expect(states).toEqual(['more', 'more', 'more', 'more', 'done', 'done']);
  });

  it('counts and drops pieces that nobody asked for', () => {
    const reassembler = new Reassembler();
    reassembler.open(0x31, MultipartType.flow);
    expect(add(reassembler, pieces[0]!)).toEqual({ state: 'unknown' });
    expect(reassembler.strays).toBe(1);
  });

  it('frees a request that is closed, and gives up one that is too large', () => {
    const reassembler = new Reassembler(100);
    reassembler.open(0x31, MultipartType.portDesc);
    reassembler.close(0x31, MultipartType.portDesc);
    expect(reassembler.size).toBe(0);
    reassembler.open(0x31, MultipartType.portDesc);
    add(reassembler, pieces[0]!);
    expect(add(reassembler, pieces[1]!)).toEqual({ state: 'overflow' });
    expect(reassembler.size).toBe(0);
  });

  it('keeps copies: what the socket does with its chunk does not matter', () => {
    const reassembler = new Reassembler();
    reassembler.open(0x31, MultipartType.portDesc);
    const chunk = Buffer.concat(pieces);
    reassembler.add(chunk, 0, 80);
    reassembler.add(chunk, 80, 160);
    const result = reassembler.add(chunk, 160, 176);
    chunk.fill(0);
    expect(joinReplies(result.state === 'done' ? result.pieces : [])).toMatchObject({
      ports: [{ portNo: 1 }, { portNo: 2 }],
    });
  });
});

describe('64-bit values (FC-08)', () => {
  it.each([
    ['0406002000000002002000000000000000000000fe0000000000004f00000000', 0x0020_0000_0000_0000n],
    ['0406002000000002002000000000000100000000fe0000000000004f00000000', 0x0020_0000_0000_0001n],
    ['0406002000000002800000000000000100000000fe0000000000004f00000000', 0x8000_0000_0000_0001n],
  ])('keep every digit: %s', (hex, datapathId) => {
    expect(decode(hex)).toMatchObject({ datapathId });
    expect(toJson(decode(hex))).toMatchObject({ datapathId: String(datapathId) });
  });

  it('survive JSON in flow statistics', () => {
    const message = decode(
      '04130068000000210001000000000000005800000000000100000000000a0000000000000000000040000000000000020020000000000001fffffffffffffffe0001000c80000004000000010000000000040018000000000000001000000002ffff000000000000',
    );
    expect(toJson(message)).toMatchObject({
      flows: [{ cookie: '4611686018427387906', packetCount: '9007199254740993', byteCount: '18446744073709551614' }],
    });
    expect(fromJson(JSON.parse(JSON.stringify(toJson(message))))).toEqual(message);
  });
});

describe('packet-in with bytes missing (FC-09)', () => {
  const head = 'ffffffff05ea000000000000000000000001000c80000004000000010000000000';
  it.each([
    [
      '040a003e00000000ffffffff05ea000000000000000000000001000c8000000400000001000000000000ffffffffffff0200000000010800450005dc0001',
      20,
      1514,
    ],
    [
      '040a004200000000ffffffff003c000000000000000000000001000c8000000400000001000000000000ffffffffffff020000000001080600010800060400010200',
      24,
      60,
    ],
    ['040a003300000000ffffffff003c000000000000000000000001000c8000000400000001000000000000ffffffffffff020000', 9, 60],
    ['040a002a00000000ffffffff003c000000000000000000000001000c8000000400000001000000000000', 0, 60],
    [
      '040a003900000000ffffffff0040000000000000000000000001000c8000000400000001000000000000ffffffffffff020000000001810000',
      15,
      64,
    ],
  ])('is read up to its end: %s', (hex, present, totalLen) => {
    const bytes = Buffer.from(hex, 'hex');
    const reader = new PacketInReader().on(bytes, 0, bytes.length);
    expect([reader.dataEnd - reader.dataAt, reader.totalLen, reader.inPort, reader.bufferId]).toEqual([
      present,
      totalLen,
      1,
      0xffff_ffff,
    ]);
    expect(decode(hex)).toMatchObject({ totalLen, data: bytes.subarray(reader.dataAt) });
  });

  it('is refused when match or padding are cut', () => {
    for (const hex of [`040a001800000000${head.slice(0, 32)}`, `040a002900000000${head}`]) {
      const bytes = Buffer.from(hex, 'hex');
      bytes.writeUInt16BE(bytes.length, 2);
      expect(() => new PacketInReader().on(bytes, 0, bytes.length)).toThrow(WireError);
      expect(() => decodeMessage(bytes, 0, bytes.length)).toThrow(WireError);
    }
  });

  it('finds the input port wherever it stands, reads the cookie in halves', () => {
    const bytes = encodeMessage({
      version: 4,
      xid: 9,
      type: 'packetIn',
      bufferId: 0xffff_ffff,
      totalLen: 2,
      reason: 1,
      tableId: 3,
      cookie: 0x4e4c_0003_8000_0001n,
      match: [
        { field: 'metadata', value: 7n },
        { field: 'inPort', value: 0xffff_fffe },
      ],
      data: Buffer.from('abcd', 'hex'),
    });
    const shifted = Buffer.concat([Buffer.alloc(3), bytes]);
    const reader = new PacketInReader().on(shifted, 3, shifted.length);
    expect([reader.inPort, reader.cookieHi, reader.cookieLo, reader.reason, reader.tableId, reader.xid]).toEqual([
      0xffff_fffe, 0x4e4c_0003, 0x8000_0001, 1, 3, 9,
    ]);
    expect(shifted.toString('hex', reader.dataAt, reader.dataEnd)).toBe('abcd');
  });
});

describe('hello (FC-10)', () => {
  it.each([
    ['06000010000000010001000800000072', true],
    ['06000010000000010001000800000062', false],
    ['040000180000000100090007616263000001000800000012', true],
    ['0600000800000001', true],
    ['0100000800000001', false],
  ])('%s can talk 1.3: %s', (hex, can) => {
    expect(helloSpeaks13(decode(hex) as MessageOf<'hello'>)).toBe(can);
  });
});

describe('fast writers', () => {
  it('write the same packet-out as the general encoder', () => {
    const frame = Buffer.from('ffffffffffff0200000000010800', 'hex');
    const bytes = Buffer.alloc(3 + 24 + 32 + frame.length, 0xee);
    const length = bytes.length - 3;
    let at = writePacketOutHeader(bytes, 3, 5, length, Port.controller, 32);
    at = writeOutput(bytes, at, 1);
    at = writeOutput(bytes, at, Port.controller, 0xffff);
    frame.copy(bytes, at);
    const message: Message = {
      version: 4,
      xid: 5,
      type: 'packetOut',
      bufferId: 0xffff_ffff,
      inPort: Port.controller,
      actions: [
        { type: 'output', port: 1, maxLen: 0 },
        { type: 'output', port: Port.controller, maxLen: 0xffff },
      ],
      data: frame,
    };
    expect(bytes.toString('hex', 3)).toBe(encodeMessage(message).toString('hex'));
  });

  it('answer an echo with its own bytes', () => {
    const request = Buffer.from('0402001800000099000102030405060708090a0b0c0d0e0f', 'hex');
    const bytes = Buffer.alloc(30);
    expect(writeEchoReply(bytes, 2, request, 0, request.length)).toBe(26);
    expect(bytes.toString('hex', 2, 26)).toBe(`0403${request.toString('hex', 2)}`);
  });
});

describe('errors', () => {
  it('have names, of ONF and Nicira too; unknown ones keep their numbers', () => {
    expect(errorName(5, 1)).toEqual({ type: 'OFPET_FLOW_MOD_FAILED', code: 'OFPFMFC_TABLE_FULL' });
    expect(errorName(errorExperimenter, 2313, 0x4f4e_4600)).toEqual({
      type: 'OFPET_EXPERIMENTER',
      code: 'OFPBFC_MSG_FAILED',
    });
    expect(errorName(errorExperimenter, 36, 0x2320)).toEqual({
      type: 'OFPET_EXPERIMENTER',
      code: 'NXST_NOT_CONFIGURED',
    });
    expect(errorName(77, 3)).toEqual({ type: '77', code: '3' });
    expect(errorName(1, 99)).toEqual({ type: 'OFPET_BAD_REQUEST', code: '99' });
  });

  it('carry what OpenFlow would answer', () => {
    expect(fault('0402000900000001').code).toBe('NL_WIRE');
    expect(fault('0102000800000001')).toMatchObject({ code: 'NL_WIRE_VERSION', reply: { type: 1, code: 0 } });
    expect(fault('041e000800000001')).toMatchObject({ code: 'NL_WIRE_TYPE', reply: { type: 1, code: 1 } });
    expect(fault('040500090000000100')).toMatchObject({ reply: { type: 1, code: 6 } });
  });
});
