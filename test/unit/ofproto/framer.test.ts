import { describe, expect, it } from 'vitest';
import { Framer, messageEnd, WireError } from '../../../src/ofproto/index.ts';

function collect(framer: Framer, chunk: Buffer): string[] {
  const got: string[] = [];
  framer.push(chunk, (bytes, at, end) => got.push(bytes.toString('hex', at, end)));
  return got;
}

const echo = (xid: number, data = ''): Buffer => {
  const bytes = Buffer.from(`0402000000000000${data}`, 'hex');
  bytes.writeUInt16BE(bytes.length, 2);
  bytes.writeUInt32BE(xid, 4);
  return bytes;
};

describe('framer (FC-02)', () => {
  it.each(['0402000700000001', '0402000000000001'])('refuses a length below 8 and takes nothing more: %s', (hex) => {
    const framer = new Framer();
    let fault: unknown;
    try {
      collect(framer, Buffer.from(hex, 'hex'));
    } catch (error) {
      fault = error;
    }
    expect(fault).toBeInstanceOf(WireError);
    expect(fault).toMatchObject({ code: 'NL_WIRE_FRAMING', structure: 'ofp_header', field: 'length', at: 2 });
    expect(collect(framer, echo(1))).toEqual([]);
  });

  it('refuses a bad length that comes byte by byte', () => {
    const framer = new Framer();
    expect(() => {
      for (const byte of Buffer.from('0402000700000001', 'hex')) framer.push(Buffer.from([byte]), () => undefined);
    }).toThrow('ofp_header: length 7, at least 8');
  });

  it('puts messages together from single bytes', () => {
    const framer = new Framer();
    const stream = Buffer.concat([echo(1, 'aabb'), echo(2), echo(3, '00'.repeat(300))]);
    const got = [...stream].flatMap((byte) => collect(framer, Buffer.from([byte])));
    expect(got.map((hex) => hex.length / 2)).toEqual([10, 8, 308]);
    expect(got.join('')).toBe(stream.toString('hex'));
    expect(framer.pending).toBe(0);
  });

  it('gives 500 messages of one chunk in order, in place', () => {
    const framer = new Framer();
    const chunk = Buffer.concat(Array.from({ length: 500 }, (_, i) => echo(i, '0102')));
    const xids: number[] = [];
    framer.push(chunk, (bytes, at, end) => {
      expect(bytes).toBe(chunk);
      expect(end - at).toBe(10);
      xids.push(bytes.readUInt32BE(at + 4));
    });
    expect(xids).toEqual(Array.from({ length: 500 }, (_, i) => i));
  });

  it('hands on nothing of a message that never ends', () => {
    const framer = new Framer();
    expect(collect(framer, Buffer.from('0402ffff00000001aabb', 'hex'))).toEqual([]);
    expect(framer.pending).toBe(10);
  });

  it('holds at most 65,535 bytes for a peer', () => {
    const framer = new Framer();
    let most = 0;
    for (let i = 0; i < 70_000; i += 100) {
      framer.push(
        i === 0 ? Buffer.from(`0402ffff00000001${'00'.repeat(92)}`, 'hex') : Buffer.alloc(100, 0x04),
        () => false,
      );
      most = Math.max(most, framer.pending);
    }
    expect(most).toBeLessThanOrEqual(65_535);
  });

  it('stops when told to', () => {
    const framer = new Framer();
    let count = 0;
    framer.push(Buffer.concat([echo(1), echo(2), echo(3)]), () => ++count < 2);
    expect(count).toBe(2);
    expect(collect(framer, echo(4))).toEqual([]);
  });
});

describe('messageEnd', () => {
  it('waits for the rest, refuses what no version of OpenFlow ever began with', () => {
    expect(messageEnd(echo(1, 'aa'), 0, 9)).toBe(9);
    expect(messageEnd(echo(1, 'aa'), 0, 8)).toBeUndefined();
    expect(messageEnd(echo(1), 8, 8)).toBeUndefined();
    expect(() => messageEnd(Buffer.from('aabbccdd', 'hex'), 0, 4)).toThrow('170 is no version of OpenFlow');
  });
});
