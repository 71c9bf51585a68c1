import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FABRIC_SWITCH_MASK,
  FabricType,
  fabricAddress,
  fabricSwitchPrefix,
  parseFabricAddress,
} from '../../../src/controller/rules/index.ts';

const types = fc.constantFrom(...Object.values(FabricType));
const index = fc.integer({ min: 1, max: 0x3fff });
const id = fc.integer({ min: 0, max: 0xffffff });

describe('fabric addresses', () => {
  it('have prefix 06, two bits of type, fourteen of switch index, twenty-four of id', () => {
    expect(fabricAddress(FabricType.endpoint, 1, 2).toString(16)).toBe('60001000002');
    expect(fabricAddress(FabricType.broadcast, 1, 2).toString(16)).toBe('64001000002');
    expect(fabricAddress(FabricType.multicast6, 0x3fff, 0xffffff).toString(16)).toBe('6ffffffffff');
  });

  it('read back as what they were made of', () => {
    fc.assert(
      fc.property(types, index, id, (type, switchIndex, number) => {
        const made = fabricAddress(type, switchIndex, number);
        expect(parseFabricAddress(made)).toEqual({ type, switchIndex, id: number });
      }),
    );
  });

  it('name their switch under the mask, whatever type and id', () => {
    fc.assert(
      fc.property(types, index, index, id, (type, switchIndex, other, number) => {
        const under = BigInt(fabricAddress(type, switchIndex, number)) & BigInt(FABRIC_SWITCH_MASK);
        expect(under === BigInt(fabricSwitchPrefix(other))).toBe(switchIndex === other);
      }),
    );
  });

  it('are no group addresses, and other MACs are none of them', () => {
    expect(Math.floor(fabricAddress(FabricType.multicast4, 1, 1) / 2 ** 40) & 1).toBe(0);
    expect(parseFabricAddress(0x020000000001)).toBeUndefined();
  });

  it('refuse numbers that do not fit', () => {
    for (const [switchIndex, number] of [
      [0, 1],
      [0x4000, 1],
      [1, -1],
      [1, 0x1000000],
      [1.5, 1],
    ] as const) {
      expect(() => fabricAddress(FabricType.endpoint, switchIndex, number)).toThrow(/fabric address/);
    }
  });
});
