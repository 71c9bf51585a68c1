import Type from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import type { TLocalizedValidationError } from 'typebox/error';
import { Settings } from 'typebox/system';
import type { FieldProblem } from '../kernel/index.ts';
import { isObject, jsonProblems, pointerStep } from './json.ts';
import {
  type LispMappingBody,
  LispMappingSchema,
  type LispSiteBody,
  LispSiteSchema,
  type SiteBody,
  SiteSchema,
} from './lisp-schema.ts';
import type { ObjectKind } from './service-types.ts';
import { ACTIVATION_SIGNS } from './types.ts';

// TypeBox stops at 8 errors by itself, which may hide the one that a user can act on. The bound is for hostile bodies.
Settings.Set({ maxErrors: 1_000 });

/** Ids of everything: lower-case letters, digits, and `-_.` inside; at most 63. */
export const ID_PATTERN = '^[a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?$';
const idExpression = new RegExp(ID_PATTERN);

/** True when the text may be an id. */
export const isId = (text: string): boolean => idExpression.test(text);
export const ID_RULE = 'an id: 1 to 63 lower-case letters, digits, and "-", "_", "." inside';

const U32 = 0xffffffff;
/** Highest number of a physical or logical port (OpenFlow 1.3.5 §7.2.1, OFPP_MAX). */
const MAX_PORT = 0xffffff00;

// `title` finishes the sentence "must be …" in refusals; `description` is for the API's documentation.
const closed = { additionalProperties: false } as const;

export const QuotaSchema = Type.Object(
  {
    networks: Type.Optional(Type.Integer({ minimum: 0, maximum: 0xffffff, description: 'Networks it may have.' })),
    ports: Type.Optional(Type.Integer({ minimum: 0, maximum: 0xffffff, description: 'Ports it may have.' })),
    flows: Type.Optional(
      Type.Integer({ minimum: 0, maximum: U32, description: 'Flows over all switches that its objects may hold.' }),
    ),
    packetInRate: Type.Optional(
      Type.Integer({ minimum: 1, maximum: U32, description: 'Packets per second to the controller, per switch.' }),
    ),
    bandwidthKbps: Type.Optional(
      Type.Integer({ minimum: 1, maximum: U32, description: 'kbit/s that its ports may send, per switch.' }),
    ),
  },
  { ...closed, description: 'Limits; an absent one is unlimited. Lowering one takes nothing away that is there.' },
);

export const TenantSchema = Type.Object(
  {
    description: Type.Optional(Type.String({ maxLength: 1000, description: 'Free text.' })),
    quota: Type.Optional(QuotaSchema),
  },
  { ...closed, description: 'Owner of networks and ports.' },
);

export const NetworkSchema = Type.Object(
  {
    transport: Type.Optional(
      Type.Enum(['fabric', 'vxlan', 'nvgre'], { default: 'fabric', description: 'How its frames travel.' }),
    ),
    segmentId: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 0xffffff,
        description: 'VNI or VSID, unique per transport. Allocated, and kept, when absent.',
      }),
    ),
    instanceId: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 0xffffff,
        description:
          'LISP instance id, unique among networks: LISP routers find the addresses of its ports there. Absent: they do not.',
      }),
    ),
    subnets: Type.Optional(
      Type.Array(Type.String({ maxLength: 64 }), {
        maxItems: 64,
        description: 'Blocks that addresses of its ports lie in, as ADDRESS/LENGTH without host bits.',
      }),
    ),
    mtu: Type.Optional(
      Type.Integer({
        minimum: 68,
        maximum: 65535,
        description: 'Bytes of an IP packet. Default and most: what the transport leaves of the underlay’s MTU.',
      }),
    ),
    unknownUnicast: Type.Optional(
      Type.Enum(['drop', 'flood'], { default: 'drop', description: 'What becomes of frames to an unknown MAC.' }),
    ),
    flowId: Type.Optional(
      Type.Enum(['zero', 'hash'], {
        default: 'zero',
        description:
          'NVGRE only: what is sent in the FlowID (RFC 7637 §3.2). `hash`: a hash of each flow, for underlays that balance by the GRE key.',
      }),
    ),
    extends: Type.Optional(
      Type.String({
        pattern: ID_PATTERN,
        title: ID_RULE,
        description:
          'Network of the same tenant, with another transport, that this one continues: together they are one segment.',
      }),
    ),
    gateways: Type.Optional(
      Type.Array(Type.String({ pattern: ID_PATTERN, title: ID_RULE }), {
        minItems: 1,
        maxItems: 8,
        description:
          'With `extends`: hypervisors that may carry frames between the two, in order of preference. One does, the others stand by.',
      }),
    ),
  },
  { ...closed, description: 'One logical L2 segment.' },
);

const SwitchBindingSchema = Type.Object(
  {
    switch: Type.String({ pattern: '^[0-9a-fA-F]{16}$', title: 'a datapath id of 16 hex digits' }),
    port: Type.Union(
      [Type.String({ pattern: '^[^\\s/\\x00-\\x1f\\x7f]{1,16}$' }), Type.Integer({ minimum: 1, maximum: MAX_PORT })],
      {
        title: `a port name of 1 to 16 characters, or a number from 1 to ${MAX_PORT}`,
        description: 'Port name or number. Text of digits only is a number.',
      },
    ),
  },
  closed,
);

const HypervisorBindingSchema = Type.Object(
  {
    hypervisor: Type.String({ pattern: ID_PATTERN, title: ID_RULE }),
    interfaceId: Type.String({
      pattern: '^[^\\x00-\\x1f\\x7f]{1,255}$',
      title: '1 to 255 characters without control characters',
      description: '`external_ids:iface-id` of the interface.',
    }),
  },
  closed,
);

const DeviceBindingSchema = Type.Object(
  {
    hypervisor: Type.String({ pattern: ID_PATTERN, title: ID_RULE, description: 'A hypervisor or a hardware VTEP.' }),
    port: Type.String({
      pattern: '^[^\\x00-\\x1f\\x7f]{1,255}$',
      title: '1 to 255 characters without control characters',
      description:
        'Name of a physical port of a hardware VTEP, which ports of one network may share; or of a port or bridge of a hypervisor outside of its integration bridge.',
    }),
    vlan: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 4094, default: 0, description: 'VLAN on the physical port; 0: untagged.' }),
    ),
    standby: Type.Optional(
      Type.Array(Type.String({ pattern: ID_PATTERN, title: ID_RULE }), {
        maxItems: 7,
        description:
          'Other hypervisors whose port of this name leads to the same VLAN; one of them takes over when the first fails.',
      }),
    ),
  },
  closed,
);

export const BindingSchema = Type.Union([SwitchBindingSchema, HypervisorBindingSchema, DeviceBindingSchema], {
  title: '{switch, port}, {hypervisor, interfaceId} or {hypervisor, port, vlan}',
  description: 'Where it is attached; absent while it is nowhere.',
});

export const PortSchema = Type.Object(
  {
    network: Type.String({ pattern: ID_PATTERN, title: ID_RULE, description: 'Network of the same tenant.' }),
    mac: Type.String({ maxLength: 17, description: 'MAC address, or `learned`.' }),
    addresses: Type.Optional(
      Type.Array(Type.String({ maxLength: 45 }), { maxItems: 64, description: 'IP addresses that live here.' }),
    ),
    portSecurity: Type.Optional(
      Type.Boolean({ description: 'Drop what claims other addresses. Default true for a declared MAC.' }),
    ),
    binding: Type.Optional(BindingSchema),
  },
  { ...closed, description: 'Attachment of a machine to a network.' },
);

export const MigrationSchema = Type.Object(
  {
    to: BindingSchema,
    deliver: Type.Optional(
      Type.Enum(['both', 'active'], {
        default: 'both',
        description:
          'Where frames for the port go before it switches over: to both places, or to the old one only (for switches of guests ' +
          'that keep what arrives before the guest runs, which would then get it twice).',
      }),
    ),
    activateOn: Type.Optional(
      Type.Array(Type.Enum([...ACTIVATION_SIGNS]), {
        maxItems: ACTIVATION_SIGNS.length,
        description: 'Signs of the guest at its new place that switch it over; default all, empty: REST or time only.',
      }),
    ),
    activateAfterMs: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400_000,
        description: 'Time after which it switches over once it is ready, whatever is seen, ms. Absent: never.',
      }),
    ),
  },
  { ...closed, description: 'A move of a port.' },
);
export type MigrationBody = Type.Static<typeof MigrationSchema>;

export const HypervisorSchema = Type.Object(
  {
    datapathId: Type.Optional(
      Type.String({
        pattern: '^[0-9a-fA-F]{16}$',
        title: 'a datapath id of 16 hex digits',
        description: 'Its integration bridge. Absent for a tunnel endpoint that is not ours to program.',
      }),
    ),
    tunnelAddresses: Type.Optional(
      Type.Array(Type.String({ maxLength: 45 }), {
        maxItems: 2,
        description: 'Where tunnels to it end: an IPv4 address, an IPv6 address, or one of each.',
      }),
    ),
    ovsdb: Type.Optional(
      Type.String({
        pattern: '^((tcp|ssl):(\\[[0-9a-fA-F:.]+\\]|[^:\\[\\]\\s]{1,253}):[1-9][0-9]{0,4}|unix:.{1,255})$',
        title: 'tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH',
        description: 'Where its database listens. Absent when it dials in.',
      }),
    ),
    physicalSwitch: Type.Optional(
      Type.String({
        pattern: '^[^\\x00-\\x1f\\x7f]{1,255}$',
        title: '1 to 255 characters without control characters',
        description: 'Makes it a hardware VTEP: name of the physical switch in its `hardware_vtep` database.',
      }),
    ),
    site: Type.Optional(Type.String({ pattern: ID_PATTERN, title: ID_RULE, description: 'Where it stands.' })),
  },
  {
    ...closed,
    description: 'A tunnel endpoint: a machine with an integration bridge, a hardware VTEP, or a foreign one.',
  },
);

export type HypervisorBody = Type.Static<typeof HypervisorSchema>;
export type TenantBody = Type.Static<typeof TenantSchema>;
export type NetworkBody = Type.Static<typeof NetworkSchema>;
export type PortBody = Type.Static<typeof PortSchema>;
export interface Bodies {
  tenant: TenantBody;
  network: NetworkBody;
  port: PortBody;
  hypervisor: HypervisorBody;
  site: SiteBody;
  lispSite: LispSiteBody;
  lispMapping: LispMappingBody;
}

/** Schema of what one writes, by kind; also the source of the API's documentation. */
export const schemas = {
  tenant: TenantSchema,
  network: NetworkSchema,
  port: PortSchema,
  hypervisor: HypervisorSchema,
  site: SiteSchema,
  lispSite: LispSiteSchema,
  lispMapping: LispMappingSchema,
} as const;

const validators: { readonly [K in ObjectKind]: Validator } = {
  tenant: Compile(TenantSchema),
  network: Compile(NetworkSchema),
  port: Compile(PortSchema),
  hypervisor: Compile(HypervisorSchema),
  site: Compile(SiteSchema),
  lispSite: Compile(LispSiteSchema),
  lispMapping: Compile(LispMappingSchema),
};

/** Members that we write. A body may bring them back unchanged or stale (GET, edit, PUT): they are left out, not checked. */
const OURS: ReadonlySet<string> = new Set(['id', 'revision', 'createdAt', 'updatedAt', 'status']);

/** The body without the members that we write, or the body itself when it is no object. */
export const withoutOurs = (body: unknown): unknown =>
  isObject(body) ? Object.fromEntries(Object.entries(body).filter(([key]) => !OURS.has(key))) : body;

/** Checks the shape of a body against its schema; all problems, or the body with its type. */
export function checkShape<K extends ObjectKind>(
  kind: K,
  body: unknown,
): { readonly body: Bodies[K] } | { readonly problems: readonly FieldProblem[] } {
  const problems: FieldProblem[] = jsonProblems(body);
  if (problems.length > 0) return { problems };
  const validator = validators[kind];
  if (validator.Check(body)) return { body: body as Bodies[K] };
  return { problems: explain(validator.Errors(body), schemas[kind], body) };
}

const migrationValidator: Validator = Compile(MigrationSchema);

/** Checks the shape of what asks for a move; all problems, or the body with its type. */
export function checkMigration(
  body: unknown,
): { readonly body: MigrationBody } | { readonly problems: readonly FieldProblem[] } {
  const problems = jsonProblems(body);
  if (problems.length > 0) return { problems };
  if (migrationValidator.Check(body)) return { body: body as MigrationBody };
  return { problems: explain(migrationValidator.Errors(body), MigrationSchema, body) };
}

function explain(errors: readonly TLocalizedValidationError[], root: unknown, body: unknown): FieldProblem[] {
  // Inside a union only the branch that was meant is worth a word; without one, the union's own title says it.
  const unions = errors.filter((error) => error.keyword === 'anyOf');
  const hidden = (path: string): boolean =>
    unions.some((union) => {
      const inside = `${union.schemaPath}/anyOf/`;
      const meant = meantBranch(valueAt(body, union.instancePath));
      return path.startsWith(inside) && (meant === undefined || !path.startsWith(`${inside}${meant}`));
    });
  return errors.flatMap((error): FieldProblem[] => {
    if (hidden(error.schemaPath)) return [];
    const pointer = error.instancePath;
    const title = titleAt(root, error.schemaPath);
    switch (error.keyword) {
      case 'additionalProperties':
        return []; // each of them is reported by its own `boolean` error
      case 'boolean':
        return [{ pointer, message: 'unknown field' }];
      case 'required':
        return error.params.requiredProperties.map((name) => ({
          pointer: `${pointer}${pointerStep(name)}`,
          message: 'is required',
        }));
      case 'enum':
        return [{ pointer, message: `must be one of ${error.params.allowedValues.map(String).join(', ')}` }];
      case 'anyOf':
        return meantBranch(valueAt(body, pointer)) === undefined ? [{ pointer, message: `must be ${title}` }] : [];
      case 'pattern':
        return [{ pointer, message: title === undefined ? error.message : `must be ${title}` }];
      default:
        return [{ pointer, message: error.message }];
    }
  });
}

/** Which binding was meant, by its members; undefined when none or several. */
function meantBranch(value: unknown): 0 | 1 | 2 | undefined {
  if (!isObject(value)) return undefined;
  if ('vlan' in value || ('hypervisor' in value && 'port' in value))
    return 'switch' in value || 'interfaceId' in value ? undefined : 2;
  const bySwitch = 'switch' in value || 'port' in value;
  const byHypervisor = 'hypervisor' in value || 'interfaceId' in value;
  return bySwitch === byHypervisor ? undefined : bySwitch ? 0 : 1;
}

function valueAt(value: unknown, pointer: string): unknown {
  let at = value;
  for (const step of pointer.split('/').slice(1)) {
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
    at = typeof at === 'object' && at !== null ? (at as Readonly<Record<string, unknown>>)[key] : undefined;
  }
  return at;
}

function titleAt(root: unknown, schemaPath: string): string | undefined {
  const schema = valueAt(root, schemaPath.slice(1));
  return isObject(schema) && typeof schema['title'] === 'string' ? schema['title'] : undefined;
}
