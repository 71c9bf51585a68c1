import Type from 'typebox';

// Schemas of sites and of what the LISP mapping system is told. Of `title` and `description` see schema.ts.
const closed = { additionalProperties: false } as const;

export const RlocSchema = Type.Object(
  {
    address: Type.String({ maxLength: 45, description: 'IPv4 or IPv6 address in the underlay.' }),
    priority: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 255, default: 1, description: 'Lower is better; 255: not to be used.' }),
    ),
    weight: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 255,
        default: 100,
        description: 'Share of the traffic among those of one priority.',
      }),
    ),
  },
  closed,
);

const RlocsSchema = Type.Array(RlocSchema, { maxItems: 64 });
const PREFIX =
  'IPv4, IPv6 or MAC prefix as ADDRESS/LENGTH without host bits; an address alone is a prefix of full length.';

/** LISP instance ids are 24 bits where they travel with data (RFC 9300 §5.3). */
export const InstanceIdSchema = Type.Integer({
  minimum: 0,
  maximum: 0xffffff,
  default: 0,
  description: 'Virtual network of the EIDs; 0 when they name none.',
});

export const SiteSchema = Type.Object(
  {
    rlocs: Type.Optional(
      Type.Array(RlocSchema, {
        maxItems: 64,
        description: 'Routers through which others reach what is here. None: through each hypervisor’s own addresses.',
      }),
    ),
  },
  { ...closed, description: 'Hypervisors behind one underlay.' },
);

export const LispSiteSchema = Type.Object(
  {
    instanceId: Type.Optional(InstanceIdSchema),
    eidPrefixes: Type.Array(Type.String({ maxLength: 64 }), { minItems: 1, maxItems: 1_000, description: PREFIX }),
    keys: Type.Optional(
      Type.Array(
        Type.String({
          pattern: '^[^\\x00-\\x1f\\x7f]{1,256}$',
          title: '1 to 256 characters without control characters',
          writeOnly: true,
        }),
        {
          maxItems: 8,
          writeOnly: true,
          description:
            'Secrets that its routers sign with, any of them. Never shown. Kept as they are when absent; an empty list removes them, and then nobody can register.',
        },
      ),
    ),
    acceptMoreSpecifics: Type.Optional(
      Type.Boolean({ default: false, description: 'Parts of the prefixes may be registered, too.' }),
    ),
    proxyReply: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Answer for its routers in any case, not only for those that ask for it.',
      }),
    ),
    merge: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Merge registrations of several routers in any case, not only of those that ask for it.',
      }),
    ),
    replayDefence: Type.Optional(
      Type.Boolean({ default: false, description: 'Take registrations only with nonces that grow.' }),
    ),
    registerRate: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000,
        description: 'Registrations a second of all its routers together. Any number when absent.',
      }),
    ),
  },
  { ...closed, description: 'A block of EIDs whose LISP routers may register here.' },
);

export const LispMappingSchema = Type.Object(
  {
    instanceId: Type.Optional(InstanceIdSchema),
    eid: Type.String({ maxLength: 64, description: PREFIX }),
    rlocs: Type.Optional(RlocsSchema),
    action: Type.Optional(
      Type.Enum(['noAction', 'nativelyForward', 'sendMapRequest', 'drop'], {
        description: 'What routers do without locators. Default: `drop` without, `noAction` with locators.',
      }),
    ),
    ttlMinutes: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 525_600,
        default: 1_440,
        description: 'How long routers may keep what they are told.',
      }),
    ),
  },
  {
    ...closed,
    description: 'A mapping that stands until it is deleted, whatever routers register for the same prefix.',
  },
);

export type RlocBody = Type.Static<typeof RlocSchema>;
export type SiteBody = Type.Static<typeof SiteSchema>;
export type LispSiteBody = Type.Static<typeof LispSiteSchema>;
export type LispMappingBody = Type.Static<typeof LispMappingSchema>;
