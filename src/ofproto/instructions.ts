import type { Buffer } from 'node:buffer';
import { type Action, decodeActions, writeActions } from './actions.ts';
import { copyOf, get16, get32, get64 } from './bytes.ts';
import { WireError } from './errors.ts';
import { elementEnd, type ListRule } from './tlv.ts';
import { type Writer, written } from './writer.ts';

/** Any instruction, OpenFlow 1.3.5 §7.2.4. */
export type Instruction =
  | { readonly type: 'gotoTable'; readonly tableId: number }
  | { readonly type: 'writeMetadata'; readonly metadata: bigint; readonly mask: bigint }
  | { readonly type: 'writeActions'; readonly actions: readonly Action[] }
  | { readonly type: 'applyActions'; readonly actions: readonly Action[] }
  | { readonly type: 'clearActions' }
  | { readonly type: 'meter'; readonly meterId: number }
  | { readonly type: 'experimenter'; readonly experimenter: number; readonly bytes: Uint8Array }
  | { readonly type: 'unknown'; readonly instructionType: number; readonly bytes: Uint8Array };

/** OFPIT_* */
export const InstructionType = {
  gotoTable: 1,
  writeMetadata: 2,
  writeActions: 3,
  applyActions: 4,
  clearActions: 5,
  meter: 6,
  experimenter: 0xffff,
} as const;

const badLength = { type: 3, code: 7 };
const rule: ListRule = { structure: 'ofp_instruction', min: 4, reply: badLength };

/** Decodes the instructions that fill [at, end). */
export function decodeInstructions(bytes: Uint8Array, at: number, end: number): Instruction[] {
  const list: Instruction[] = [];
  for (let here = at; here < end; ) {
    const stop = elementEnd(bytes, here, end, rule);
    list.push(decodeInstruction(bytes, here, stop));
    here = stop;
  }
  return list;
}

function size(at: number, end: number, wanted: number): void {
  if (end - at !== wanted)
    throw new WireError('ofp_instruction', 'length', at + 2, `${end - at}, ${wanted} wanted`, { reply: badLength });
}

function decodeInstruction(bytes: Uint8Array, at: number, end: number): Instruction {
  const type = get16(bytes, at);
  switch (type) {
    case InstructionType.gotoTable:
      size(at, end, 8);
      return { type: 'gotoTable', tableId: bytes[at + 4]! };
    case InstructionType.writeMetadata:
      size(at, end, 24);
      return { type: 'writeMetadata', metadata: get64(bytes, at + 8), mask: get64(bytes, at + 16) };
    case InstructionType.writeActions:
    case InstructionType.applyActions:
      if (end - at < 8) size(at, end, 8);
      return {
        type: type === InstructionType.applyActions ? 'applyActions' : 'writeActions',
        actions: decodeActions(bytes, at + 8, end),
      };
    case InstructionType.clearActions:
      size(at, end, 8);
      return { type: 'clearActions' };
    case InstructionType.meter:
      size(at, end, 8);
      return { type: 'meter', meterId: get32(bytes, at + 4) };
    case InstructionType.experimenter:
      if (end - at < 8) size(at, end, 8);
      return { type: 'experimenter', experimenter: get32(bytes, at + 4), bytes: copyOf(bytes, at + 8, end) };
    default:
      return { type: 'unknown', instructionType: type, bytes: copyOf(bytes, at + 4, end) };
  }
}

/** Appends instructions to a writer. */
export function writeInstructions(writer: Writer, list: readonly Instruction[]): void {
  for (const instruction of list) {
    const from = writer.at;
    writeInstruction(writer, instruction);
    writer.length16(from, from + 2);
  }
}

function writeInstruction(writer: Writer, instruction: Instruction): void {
  switch (instruction.type) {
    case 'gotoTable':
      writer.u16(InstructionType.gotoTable).u16(0).u8(instruction.tableId).zero(3);
      break;
    case 'writeMetadata':
      writer.u16(InstructionType.writeMetadata).zero(6).u64(instruction.metadata).u64(instruction.mask);
      break;
    case 'writeActions':
    case 'applyActions':
      writer.u16(InstructionType[instruction.type]).zero(6);
      writeActions(writer, instruction.actions);
      break;
    case 'clearActions':
      writer.u16(InstructionType.clearActions).zero(6);
      break;
    case 'meter':
      writer.u16(InstructionType.meter).u16(0).u32(instruction.meterId);
      break;
    case 'experimenter':
      writer.u16(InstructionType.experimenter).u16(0).u32(instruction.experimenter).raw(instruction.bytes);
      break;
    default:
      writer.u16(instruction.instructionType).u16(0).raw(instruction.bytes);
  }
}

/** Encodes a list of instructions. Throws WireError (NL_WIRE_VALUE) for values that do not fit. */
export function encodeInstructions(list: readonly Instruction[]): Buffer {
  return written((writer) => writeInstructions(writer, list));
}
