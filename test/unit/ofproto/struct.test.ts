import { describe, expect, it } from 'vitest';
import { bytes, pad, struct, text, WireError } from '../../../src/ofproto/index.ts';

const Sample = struct('sample', {
  a: ['u8', 'one byte'],
  b: ['u16', 'two'],
  c: ['u32', 'four'],
  gap: [pad(3), ''],
  mac: ['u48', 'six'],
  big: ['u64', 'eight'],
  raw: [bytes(4), 'four raw'],
  name: [text(8), 'text'],
});

const values = {
  a: 0xfe,
  b: 0xfffe,
  c: 0xffff_fffe,
  mac: 0xffff_ffff_fffe,
  big: 0xffff_ffff_ffff_fffen,
  raw: Buffer.from('01020304', 'hex'),
  name: 'größe',
};

describe('struct', () => {
  it('takes its size and offsets from the table', () => {
    expect(Sample.size).toBe(36);
    expect(Sample.offsets).toEqual({ a: 0, b: 1, c: 3, gap: 7, mac: 10, big: 16, raw: 24, name: 28 });
  });

  it('reads what it wrote, unsigned to the last bit', () => {
    const target = Buffer.alloc(50, 0xee);
    expect(Sample.write(target, 5, values)).toBe(41);
    expect(Sample.read(target, 5)).toEqual(values);
    expect(target.subarray(12, 15).toString('hex')).toBe('000000');
    expect(target[4]).toBe(0xee);
    expect(target[41]).toBe(0xee);
  });

  it('gives a view that reads and writes in place', () => {
    const target = Buffer.alloc(80);
    Sample.write(target, 0, values);
    const view = Sample.view(target, 0);
    expect([view.a, view.b, view.c, view.mac, view.big, view.name]).toEqual([
      0xfe,
      0xfffe,
      0xffff_fffe,
      0xffff_ffff_fffe,
      values.big,
      'größe',
    ]);
    expect([view.bigHi, view.bigLo]).toEqual([0xffff_ffff, 0xffff_fffe]);
    view.c = 7;
    view.big = 5n;
    view.name = 'x';
    expect(Sample.read(target, 0)).toEqual({ ...values, c: 7, big: 5n, name: 'x' });
    Sample.write(target, 40, values);
    expect(view.on(target, 40).c).toBe(0xffff_fffe);
  });

  it('refuses a span that is too short, with its offset', () => {
    expect(() => Sample.check(Buffer.alloc(40), 5, 40)).toThrow('sample: length 35 bytes, 36 needed at byte 5');
    expect(() => Sample.check(Buffer.alloc(41), 5, 41)).not.toThrow();
  });

  it.each([
    ['a', 256],
    ['a', -1],
    ['b', 1.5],
    ['c', 2 ** 32],
    ['mac', 2 ** 48],
    ['mac', Number.NaN],
    ['big', -1n],
    ['big', 2n ** 64n],
    ['big', 5],
    ['raw', Buffer.alloc(3)],
    ['name', 5],
  ])('refuses to write %s = %s', (key, value) => {
    const write = (): number => Sample.write(Buffer.alloc(36), 0, { ...values, [key]: value } as never);
    expect(write).toThrow(WireError);
    expect(write).toThrow(`sample: ${key} does not fit`);
  });

  it('keeps the bytes of a text that is none, until somebody changes it', () => {
    const source = Buffer.alloc(36);
    Sample.write(source, 0, values);
    Buffer.from('41420043ff000000', 'hex').copy(source, 28);
    const read = Sample.read(source, 0);
    expect(read.name).toBe('AB');
    const again = Buffer.alloc(36);
    Sample.write(again, 0, read);
    expect(again.equals(source)).toBe(true);
    Sample.write(again, 0, { ...read, name: 'CD' });
    expect(again.subarray(28).toString('hex')).toBe('4344000000000000');
  });

  it('cuts a long text between characters', () => {
    const target = Buffer.alloc(36);
    Sample.write(target, 0, { ...values, name: 'abcdefgü' });
    expect(target.subarray(28).toString('hex')).toBe('6162636465666700');
  });
});
