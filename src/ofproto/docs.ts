import { niciraActions, standardActions } from './action-structs.ts';
import { MessageType, MultipartType } from './constants.ts';
import { errorTypes, experimenterErrors } from './error-codes.ts';
import { variableNiciraSubtypes } from './nicira-actions.ts';
import * as structures from './of13/structs.ts';
import { fieldList } from './oxm-fields.ts';
import type { Struct, Table } from './struct.ts';

type AnyStruct = Pick<Struct<Table>, 'name' | 'table' | 'size'> & {
  readonly offsets: Readonly<Record<string, number>>;
};

function isStruct(value: unknown): value is AnyStruct {
  return typeof value === 'object' && value !== null && 'offsets' in value && 'table' in value;
}

function row(cells: readonly (string | number)[]): string {
  return `| ${cells.join(' | ')} |`;
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  return [row(head), row(head.map(() => '---')), ...rows.map(row)];
}

function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

function structure(layout: AnyStruct, title: string): string[] {
  const rows = Object.entries(layout.table)
    .filter(([, [kind]]) => !kind.startsWith('pad'))
    .map(([key, [kind, doc]]) => [layout.offsets[key]!, `\`${key}\``, kind, doc]);
  return [`### ${title}`, '', `${layout.size} bytes.`, '', ...table(['at', 'field', 'kind', 'meaning'], rows), ''];
}

/** `docs/wire.md`: what the codec speaks, from its own declarations. */
export function wireMarkdown(): string {
  const seen = new Set<string>();
  const structs = Object.entries(structures as Readonly<Record<string, unknown>>).flatMap(([key, value]) =>
    isStruct(value) ? [[key, value] as const] : [],
  );
  const actionRows = (list: Readonly<Record<string, readonly [number, unknown]>>): [string, string][] =>
    Object.entries(list).map(([name, [code, layout]]) => [String(code), `\`${name}\`${fieldsOf(layout as AnyStruct)}`]);
  return [
    '# Wire formats',
    '',
    'Generated from the declarations in `src/ofproto` by `npm run docs`; do not edit.',
    '',
    'Numbers are unsigned and in network order. `u64` is a `bigint` in code and a decimal string in JSON; `u48` is a MAC',
    'address; `text:n` ends at its first NUL. Padding is written as zero and ignored when read. What the codec does not know',
    'is kept as bytes and written back unchanged. `netloom wire decode` shows any message in its JSON form.',
    '',
    '## Messages',
    '',
    ...table(
      ['code', '`type`'],
      Object.entries(MessageType).map(([name, code]) => [code, `\`${name}\``]),
    ),
    '',
    '### Multipart types',
    '',
    ...table(
      ['code', '`mp`'],
      Object.entries(MultipartType).map(([name, code]) => [code, `\`${name}\``]),
    ),
    '',
    '## Structures',
    '',
    ...structs.flatMap(([key, layout]) => {
      // Some exist with and without the message header; the offsets say which.
      const title = seen.has(layout.name) ? `${layout.name} (${key})` : layout.name;
      seen.add(layout.name);
      return structure(layout, title);
    }),
    '## Match fields',
    '',
    'In the order of the table. An alias is read, and written in canonical form as the field it stands for.',
    '',
    ...table(
      ['field', 'class', 'number', 'bits', 'mask', 'needs', 'Open vSwitch', 'alias of'],
      fieldList.map((spec) => [
        `\`${spec.name}\``,
        hex(spec.oxmClass, 4) + (spec.experimenter === undefined ? '' : ` ${hex(spec.experimenter, 8)}`),
        spec.field,
        spec.bytes === 0 ? 'up to 992' : spec.bits,
        spec.maskable ? 'yes' : 'no',
        spec.needs === 'none' ? '' : spec.needs,
        spec.ovs,
        spec.aliasOf === undefined ? '' : `\`${spec.aliasOf}\``,
      ]),
    ),
    '',
    '## Actions',
    '',
    '### Standard',
    '',
    ...table(['code', 'action'], [...actionRows(standardActions), ['25', '`setField` (one OXM)']]),
    '',
    '### Nicira (experimenter 0x00002320)',
    '',
    ...table(
      ['subtype', 'action'],
      [
        ...actionRows(niciraActions),
        ...variableNiciraSubtypes().map(([name, code]): [string, string] => [String(code), `\`${name}\``]),
      ].sort((a, b) => Number(a[0]) - Number(b[0])),
    ),
    '',
    '### ONF (experimenter 0x4f4e4600)',
    '',
    ...table(['subtype', 'action'], [[3200, '`onfCopyField`']]),
    '',
    '## Errors',
    '',
    ...table(
      ['type', 'code', 'name'],
      [
        ...Object.entries(errorTypes).flatMap(([type, { name, codes }]) =>
          Object.entries(codes).map(([code, word]) => [`${type} ${name}`, code, word]),
        ),
        ...Object.entries(experimenterErrors).flatMap(([experimenter, codes]) =>
          Object.entries(codes).map(([code, word]) => [`65535 ${hex(Number(experimenter), 8)}`, code, word]),
        ),
      ],
    ),
    '',
  ].join('\n');
}

function fieldsOf(layout: AnyStruct): string {
  const names = Object.entries(layout.table)
    .filter(([, [kind]]) => !kind.startsWith('pad'))
    .map(([key]) => key);
  return names.length === 0 ? '' : `: ${names.join(', ')}`;
}
