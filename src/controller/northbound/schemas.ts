import Type, { type TSchema } from 'typebox';
import { ACTIVATION_SIGNS, ID_PATTERN, MigrationSchema, schemas } from '../model/index.ts';
import type { ParameterSpec } from './route.ts';

/**
 * Schemas of what we answer, for the OpenAPI document. Those of what users write are the model's; these say what comes back,
 * and a test holds real replies against them.
 */
const text = (description: string, example?: string) =>
  Type.String({ description, ...(example === undefined ? {} : { examples: [example] }) });
const count = (description: string, example?: number) =>
  Type.Integer({ description, ...(example === undefined ? {} : { examples: [example] }) });
const time = (description: string) => Type.String({ format: 'date-time', description });
const counter = (description: string) =>
  Type.String({ pattern: '^\\d+$', description, examples: ['9007199254740993'] });
const dpid = (description: string) =>
  Type.String({ pattern: '^[0-9a-f]{16}$', description, examples: ['0000000000000001'] });

const Condition = Type.Object({
  type: text('What it is about', 'Ready'),
  status: Type.Union([Type.Literal('True'), Type.Literal('False'), Type.Literal('Unknown')]),
  reason: text('One word for programs', 'Confirmed'),
  message: text('A sentence for people'),
  since: time('Since when'),
});

export const StatusSchema = Type.Object(
  {
    conditions: Type.Optional(Type.Array(Condition)),
    observedRevision: Type.Optional(count('Newest revision of the object that every switch concerned has confirmed')),
  },
  { description: 'How far the network is with the object. Written by the controller.' },
);

const meta = {
  id: Type.String({ pattern: ID_PATTERN }),
  revision: count('Revision of the last change; also the ETag', 42),
  createdAt: time('When it was created'),
  updatedAt: time('When it was last changed'),
  status: StatusSchema,
};

/** What users write, by kind: the model's schemas with an example each. */
export const bodies = {
  tenant: { ...schemas.tenant, examples: [{ description: 'Accounting', quota: { networks: 10 } }] },
  network: { ...schemas.network, examples: [{ subnets: ['10.0.0.0/24'], unknownUnicast: 'drop' }] },
  port: {
    ...schemas.port,
    examples: [
      {
        network: 'blue',
        mac: '02:00:00:00:00:01',
        addresses: ['10.0.0.1'],
        binding: { switch: '0000000000000001', port: 's1-eth1' },
      },
    ],
  },
  hypervisor: {
    ...schemas.hypervisor,
    examples: [{ datapathId: '0000000000000001', tunnelAddresses: ['192.0.2.1'], ovsdb: 'tcp:192.0.2.1:6640' }],
  },
  site: { ...schemas.site, examples: [{ rlocs: [{ address: '198.51.100.1', priority: 1, weight: 100 }] }] },
  lispSite: {
    ...schemas.lispSite,
    examples: [{ instanceId: 7, eidPrefixes: ['10.1.0.0/16'], keys: ['a long secret'], acceptMoreSpecifics: true }],
  },
  lispMapping: {
    ...schemas.lispMapping,
    examples: [{ instanceId: 7, eid: '10.2.0.0/16', rlocs: [{ address: '198.51.100.2' }] }],
  },
};

/** A move of a port as it comes back. */
export const MigrationViewSchema = Type.Object({
  ...MigrationSchema.properties,
  from: MigrationSchema.properties.to,
  phase: Type.Enum(['preparing', 'ready', 'switched', 'done', 'aborted'], {
    description: '`ready`: the new place is programmed and confirmed; the guest may be resumed there',
  }),
  announced: Type.Boolean({ description: 'Asked for by REST; false: its interface turned up at another place' }),
  startedAt: time('Begun'),
  readyAt: Type.Optional(time('The new place was confirmed')),
  switchedAt: Type.Optional(time('It counts as being at the new place since')),
  endedAt: Type.Optional(time('Done or aborted')),
  activatedBy: Type.Optional(
    Type.Enum([...ACTIVATION_SIGNS, 'complete', 'timeout', 'departure'], { description: 'What switched it over' }),
  ),
  seamless: Type.Boolean({
    description: 'Every sender’s switch had confirmed that frames go to both places before it switched over',
  }),
  outageMs: Type.Optional(
    Type.Number({ description: 'Time during which frames went where the guest was not; known once it is done' }),
  ),
  reason: Type.Optional(text('Why it was aborted')),
  waitsFor: Type.Optional(text('What keeps it from being ready, other than that switches have to confirm')),
  revision: count('Revision of the port'),
});

const { keys: _secret, ...lispSiteShown } = schemas.lispSite.properties;

/** What comes back, by kind. */
export const objects = {
  tenant: Type.Object({ ...meta, ...schemas.tenant.properties }),
  network: Type.Object({ ...meta, ...schemas.network.properties }),
  port: Type.Object({ ...meta, ...schemas.port.properties }),
  hypervisor: Type.Object({ ...meta, ...schemas.hypervisor.properties }),
  site: Type.Object({ ...meta, ...schemas.site.properties }),
  lispSite: Type.Object({ ...meta, ...lispSiteShown }),
  lispMapping: Type.Object({ ...meta, ...schemas.lispMapping.properties }),
};

export const ProblemSchema = Type.Object(
  {
    type: text('Names the code', 'urn:netloom:problem:NL_INVALID'),
    title: text('Short text, the same for every occurrence'),
    status: count('HTTP status', 400),
    code: text('Stable code, see docs/errors.md', 'NL_INVALID'),
    detail: text('What was wrong'),
    instance: Type.Optional(text('Path of the request')),
    requestId: Type.Optional(text('Id of the request in the log')),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          pointer: text('JSON pointer into the body, `?name`, or the name of a header', '/mac'),
          message: text('What was wrong there'),
        }),
      ),
    ),
  },
  { description: 'Problem document, RFC 9457' },
);

/** A page of items. */
export const pageSchema = (item: TSchema) =>
  Type.Object({
    items: Type.Array(item),
    nextCursor: Type.Optional(text('Give it back as `?cursor=`; absent on the last page')),
    revision: count('Revision that the page shows; a place to resume /v1/events from'),
  });

export const DryRunSchema = Type.Object(
  {
    changes: Type.Array(
      Type.Object({
        switch: dpid('Datapath id'),
        add: count('Flows, groups and meters that would be added'),
        modify: count('… that would be changed in place'),
        delete: count('… that would be deleted'),
      }),
      { description: 'By switch; those without a change are left out' },
    ),
  },
  { description: 'What the write would do. Nothing was done.' },
);

export const SwitchSchema = Type.Object({
  id: dpid('Datapath id'),
  index: count('Positional number in the fabric'),
  connected: Type.Boolean(),
  remote: text('Peer address; empty when disconnected'),
  since: time('Connected or disconnected since'),
  manufacturer: Type.String(),
  hardware: Type.String(),
  software: Type.String(),
  nicira: Type.Boolean({ description: "Speaks Open vSwitch's extensions" }),
  ports: count('Number of ports'),
});

export const SwitchPortSchema = Type.Object({
  no: count('Port number'),
  name: Type.String(),
  mac: Type.String(),
  up: Type.Boolean(),
  currentSpeed: count('kbit/s; 0 when unknown'),
  role: Type.Enum(['pending', 'edge', 'link', 'tunnel', 'local']),
  interfaceId: Type.Optional(text('`external_ids:iface-id` of its interface', 'web-1')),
  tunnel: Type.Optional(Type.Enum(['vxlan', 'nvgre'], { description: 'Encapsulation of a tunnel port' })),
  badLldp: count('LLDP frames refused here: forged, replayed, or not from where they say'),
});

const EndSchema = Type.Object({ switch: dpid('Datapath id'), port: count('Port number') });

export const LinkSchema = Type.Object({
  from: EndSchema,
  to: EndSchema,
  since: time('Found at'),
  state: Type.Union([Type.Literal('up'), Type.Literal('presumed'), Type.Literal('down')], {
    description: '`down`: a switch at one of its ends is not connected',
  }),
  presumed: Type.Boolean({ description: 'Known from the last run and not proven yet' }),
});

export const HostSchema = Type.Object({
  network: text('Path of the network, or `default`'),
  mac: Type.String(),
  switch: dpid('Datapath id'),
  port: count('Port number'),
  addresses: Type.Array(Type.String()),
  firstSeen: time('First seen'),
  lastSeen: time('Last seen'),
});

export const TunnelSchema = Type.Object({
  from: text('Hypervisor that sends', 'hv1'),
  to: text('Hypervisor that receives', 'hv2'),
  type: Type.Enum(['vxlan', 'nvgre']),
  state: Type.Enum(['up', 'down', 'unknown'], { description: '`unknown`: one of the two is not connected' }),
  since: time('Since when'),
  reason: text('Why', 'probes arrive'),
});

export const TopologySchema = Type.Object({
  switches: Type.Array(SwitchSchema),
  links: Type.Array(LinkSchema),
  revision: count('Observed revision'),
});

const seen = {
  packets: counter('Packets'),
  bytes: counter('Bytes'),
  durationSec: count('Age, s'),
  origin: Type.Union([Type.Literal('wanted'), Type.Literal('stale'), Type.Literal('foreign')], {
    description: 'Ours and wanted; ours but wanted no more; of others, and left alone',
  }),
  reason: Type.Optional(
    Type.Object(
      {
        owner: text('Who wants it', 'tenants/port/acme/web-1'),
        object: Type.Optional(text('REST path of the object that explains it', '/v1/tenants/acme/ports/web-1')),
        revision: count('Revision of the desired state it was compiled from'),
      },
      { description: 'Why it is there; absent when nobody wants it' },
    ),
  ),
};

export const FlowSchema = Type.Object({
  table: text('Table by name', 'classify'),
  tableId: Type.Integer(),
  priority: Type.Integer(),
  priorityName: text('Priority by name', 'exact'),
  match: text('As `ovs-ofctl dump-flows` writes it'),
  actions: text('As `ovs-ofctl dump-flows` writes it'),
  cookie: Type.String({ pattern: '^0x[0-9a-f]{16}$' }),
  idleTimeout: count('s'),
  hardTimeout: count('s'),
  ...seen,
});

export const GroupSchema = Type.Object({
  groupId: Type.Integer(),
  type: Type.String(),
  buckets: Type.String(),
  ...seen,
});

export const MeterSchema = Type.Object({
  meterId: Type.Integer(),
  bands: Type.String(),
  flows: count('Flows that use it'),
  ...seen,
});

export const DiffSchema = Type.Object({
  switch: dpid('Datapath id'),
  inSync: Type.Boolean({ description: 'Nothing is missing, unexpected or different' }),
  missing: Type.Array(Type.String(), { description: 'Wanted and absent' }),
  unexpected: Type.Array(Type.String(), { description: 'Ours, present, and not wanted' }),
  different: Type.Array(Type.Object({ wanted: Type.String(), present: Type.String() })),
  foreign: Type.Array(Type.String(), { description: 'Of others: left alone' }),
});

/** Parameters that several routes share. */
export const parameters = {
  tenant: { description: 'Id of the tenant', schema: Type.String({ pattern: ID_PATTERN, examples: ['acme'] }) },
  id: { description: 'Id of the object', schema: Type.String({ pattern: ID_PATTERN, examples: ['web-1'] }) },
  dpid: { description: 'Datapath id, 16 hex digits', schema: dpid('Datapath id') },
  limit: {
    description: 'Items on a page',
    schema: Type.Integer({ minimum: 1, maximum: 1_000, default: 100 }),
  },
  cursor: { description: '`nextCursor` of the page before', schema: Type.String() },
  dryRun: { description: 'Check and plan, do nothing', schema: Type.Boolean({ default: false }) },
  cascade: { description: 'Delete the users of the object too', schema: Type.Boolean({ default: false }) },
  wait: { description: 'Answer after the switches have confirmed', schema: Type.Literal('ready') },
  timeout: {
    description: 'How long to wait, up to 120s; 504 after that',
    schema: Type.String({ default: '10s', examples: ['500ms', '10s', '1m'] }),
  },
  ifMatch: { description: 'Revision that the object must have (`"17"`), or `*`: it must exist', schema: Type.String() },
  ifNoneMatch: { description: '`*`: the object must not exist', schema: Type.String() },
} as const satisfies Record<string, ParameterSpec>;
