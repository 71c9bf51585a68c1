import { InvariantError } from '../kernel/index.ts';

/** Where a piece of state lives between tables. */
export interface StateSlot {
  readonly name: string;
  readonly doc: string;
  /** OXM field that holds it. */
  readonly field: string;
  /** First bit within the field, and how many. */
  readonly offset: number;
  readonly bits: number;
  /** Width of the whole field. */
  readonly fieldBits: number;
}
type Unnamed = Omit<StateSlot, 'name'>;

/** State in the standard metadata field (64 bits). */
export const metadata = (offset: number, bits: number, doc: string): Unnamed => ({
  field: 'metadata',
  offset,
  bits,
  fieldBits: 64,
  doc,
});

/** State in a Nicira register (32 bits each). */
export const reg = (index: number, offset: number, bits: number, doc: string): Unnamed => ({
  field: `reg${index}`,
  offset,
  bits,
  fieldBits: 32,
  doc,
});

/** Names the state that tables hand to each other. Throws InvariantError when two pieces overlap. */
export function defineState<const T extends Readonly<Record<string, Unnamed>>>(
  spec: T,
): { readonly [K in keyof T]: StateSlot } {
  const slots = Object.entries(spec).map(([name, slot]): [string, StateSlot] => [name, { name, ...slot }]);
  for (const [name, a] of slots) {
    if (a.offset + a.bits > a.fieldBits) throw new InvariantError(`state ${name}: does not fit ${a.field}`);
    for (const [other, b] of slots) {
      const overlaps = a.field === b.field && a.offset < b.offset + b.bits && b.offset < a.offset + a.bits;
      if (a !== b && overlaps) throw new InvariantError(`state ${name} and ${other} overlap in ${a.field}`);
    }
  }
  return Object.fromEntries(slots) as { readonly [K in keyof T]: StateSlot };
}

/** What a table is declared to do; rules are held to it. */
interface TableSpec<Names> {
  readonly doc: string;
  /** Fields and state that rules of this table may match. */
  readonly match: readonly string[];
  /** Fields and state that rules of this table may change. */
  readonly writes: readonly string[];
  /** Tables that rules of this table may go on to; later ones only. */
  readonly next: readonly Names[];
  /** What happens to a packet that no rule takes. `punt` is a rule of the table's owner, `drop` needs none. */
  readonly miss: 'drop' | 'punt';
}

/** One table of the pipeline. `M` = names that its rules may match. */
export interface Table<M extends string = string> {
  readonly id: number;
  readonly name: string;
  readonly doc: string;
  readonly match: readonly M[];
  readonly writes: readonly string[];
  readonly next: readonly string[];
  readonly miss: 'drop' | 'punt';
}

/** Numbers the tables in the order they are declared. A `next` that names no later table is refused. */
export function definePipeline<const T extends Readonly<Record<keyof T, TableSpec<keyof T & string>>>>(
  spec: T,
): { readonly [K in keyof T]: Table<T[K]['match'][number]> } {
  const names = Object.keys(spec);
  const tables = names.map((name, id): [string, Table] => {
    const table: TableSpec<string> = spec[name as keyof T];
    for (const next of table.next) {
      if (names.indexOf(next) <= id) throw new InvariantError(`table ${name}: next ${next} is not a later table`);
    }
    return [name, { id, name, ...table }];
  });
  return Object.fromEntries(tables) as { readonly [K in keyof T]: Table<T[K]['match'][number]> };
}

/** State between tables. */
export const state = defineState({
  network: metadata(0, 32, 'Index of the logical network the packet belongs to.'),
  arrived: metadata(32, 1, '1: the frame came through a tunnel and goes to no other one of its network.'),
  relayed: metadata(
    33,
    1,
    '1: the frame came from a former gateway of its network, which may have carried it over; it does not cross again.',
  ),
  endpoint: reg(1, 0, 32, "Endpoint id of the sender; 0 when the sender's port is learned."),
});

/** The flow tables of every switch. The only place that knows table numbers. */
export const pipeline = definePipeline({
  classify: {
    doc: 'Who sent this? A link port leads to transit; a port of a network sets network and endpoint; a tunnel port sets the network by tunnel id and sender, where the sender has members of it.',
    match: ['inPort', 'ethType', 'ethDst', 'ethSrc', 'vlanVid', 'tunnelId', 'tunIpv4Src', 'tunIpv6Src'],
    writes: ['network', 'endpoint', 'arrived', 'relayed'],
    next: ['admit', 'learn', 'transit', 'switch'],
    miss: 'drop',
  },
  admit: {
    doc: 'Port security of declared ports: only their own addresses may send, also inside ARP and neighbour discovery.',
    match: [
      'network',
      'endpoint',
      'inPort',
      'ethSrc',
      'ethDst',
      'ethType',
      'arpOp',
      'arpSpa',
      'arpTpa',
      'arpSha',
      'ipv4Src',
      'ipv6Src',
      'ipProto',
      'icmpv6Type',
      'ipv6NdTarget',
      'ipv6NdSll',
      'ipv6NdTll',
      'udpSrc',
      'udpDst',
    ],
    writes: [],
    next: ['respond'],
    miss: 'drop',
  },
  learn: {
    doc: 'Senders on learned ports that are known already. The others are shown to the controller.',
    match: ['network', 'inPort', 'ethSrc', 'ethType'],
    writes: ['endpoint'],
    next: ['respond'],
    miss: 'punt',
  },
  respond: {
    doc: 'Answers ARP requests and neighbour solicitations for declared addresses on the spot.',
    match: [
      'network',
      'endpoint',
      'inPort',
      'ethSrc',
      'ethDst',
      'ethType',
      'vlanVid',
      'arpOp',
      'arpSpa',
      'arpTpa',
      'ipv6Src',
      'ipv6Dst',
      'ipProto',
      'icmpv6Type',
      'icmpv6Code',
      'ipv6NdTarget',
      'ipv6NdSll',
    ],
    writes: [
      'ethSrc',
      'ethDst',
      'arpOp',
      'arpSha',
      'arpTha',
      'arpSpa',
      'arpTpa',
      'ipv6Src',
      'ipv6Dst',
      'icmpv6Type',
      'icmpv6Code',
    ],
    next: ['advertise', 'switch'],
    miss: 'drop',
  },
  advertise: {
    doc: 'Completes a neighbour advertisement that respond began: its fields exist only once the type is matched.',
    match: ['network', 'inPort', 'ethSrc', 'ethType', 'ipProto', 'icmpv6Type', 'icmpv6Code', 'ipv6NdTarget'],
    writes: ['ipv6NdTarget', 'ipv6NdTll', 'ndReserved', 'ndOptionsType', 'ipv6Src', 'ipv6Dst', 'ethSrc', 'ethDst'],
    next: [],
    miss: 'drop',
  },
  switch: {
    doc: "Destination MAC in its network: a local port, the fabric address of a remote port, the tunnel to it, or the network's group.",
    match: ['network', 'endpoint', 'arrived', 'relayed', 'inPort', 'ethDst', 'ethType'],
    writes: ['ethDst', 'tunnelId', 'tunIpv4Dst', 'tunIpv6Dst'],
    next: ['deliver'],
    miss: 'drop',
  },
  transit: {
    doc: 'Frames with a fabric address: towards the switch it names, or on to deliver when that is this switch.',
    match: ['inPort', 'ethDst', 'ethType'],
    writes: [],
    next: ['deliver'],
    miss: 'drop',
  },
  deliver: {
    doc: 'Restores the original destination and hands the frame to its port, or to all local ports of the network. Frames for a port that has moved away are sent on.',
    match: ['network', 'inPort', 'ethDst', 'ethType'],
    writes: ['ethDst', 'nxmInPort', 'tunnelId', 'tunIpv4Dst', 'tunIpv6Dst'],
    next: [],
    miss: 'drop',
  },
});

const byId: readonly Table[] = Object.values(pipeline);
const stateByName = new Map<string, StateSlot>(Object.values(state).map((slot) => [slot.name, slot]));

/** Name of a table number, or the number as text when the pipeline has no such table. */
export const tableName = (id: number): string => byId[id]?.name ?? String(id);

/** Number of a table name, undefined when the pipeline has no such table. */
export const tableId = (name: string): number | undefined => byId.find((table) => table.name === name)?.id;

/** All tables in order. */
export const tables = (): readonly Table[] => byId;

/** State of this name, undefined when there is none. */
export const stateSlot = (name: string): StateSlot | undefined => stateByName.get(name);

/** All state, as declared. */
export const stateSlots = (): Iterable<StateSlot> => stateByName.values();

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
const code = (names: readonly string[]): string =>
  names.length === 0 ? '–' : names.map((name) => `\`${name}\``).join(' ');

/** The pipeline as Markdown, for docs/pipeline.md. */
export function pipelineMarkdown(): string {
  return [
    '# Pipeline',
    '',
    'Generated from `src/controller/rules/pipeline.ts`; do not edit.',
    '',
    'Every switch holds the same flow tables. A packet starts in the first one and moves forward only. A packet that no rule',
    'takes is dropped, except where the table says `punt`: there a metered rule shows it to the controller.',
    '',
    '## Tables',
    '',
    row(['no.', 'table', 'does', 'matches', 'writes', 'goes on to', 'miss']),
    row(['--:', '---', '---', '---', '---', '---', '---']),
    ...byId.map((table) =>
      row([
        String(table.id),
        `**${table.name}**`,
        table.doc,
        code(table.match),
        code(table.writes),
        code(table.next),
        table.miss,
      ]),
    ),
    '',
    '## State between tables',
    '',
    row(['state', 'holds', 'where']),
    row(['---', '---', '---']),
    ...[...stateByName.values()].map((slot) =>
      row([`\`${slot.name}\``, slot.doc, `${slot.field}, bits ${slot.offset}…${slot.offset + slot.bits - 1}`]),
    ),
    '',
  ].join('\n');
}
