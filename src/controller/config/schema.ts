import Type, { type Static } from 'typebox';

const strict = { additionalProperties: false } as const;

/** HOST:PORT; an IPv6 host in brackets. Port 0 takes any free port. */
const ENDPOINT = '^(\\[[0-9a-fA-F:.]+\\]|[^:\\[\\]\\s]+):\\d{1,5}$';

/** FIRST-LAST. */
const RANGE = '^\\d{1,8}-\\d{1,8}$';

const TlsSchema = Type.Object(
  {
    key: Type.String({ description: 'PEM file of the private key' }),
    cert: Type.String({ description: 'PEM file of the certificate chain' }),
    ca: Type.String({ description: 'PEM file of the authority that signs switches; others are refused' }),
    pins: Type.Optional(
      Type.Record(Type.String({ pattern: '^[0-9a-f]{16}$' }), Type.String(), {
        description: 'datapath id → SHA-256 fingerprint of the only certificate that may claim it',
      }),
    ),
    pinnedOnly: Type.Optional(
      Type.Boolean({ description: 'refuses datapath ids here that no listener pins (false when not given)' }),
    ),
  },
  strict,
);

const ListenerSchema = Type.Union([
  Type.String({ pattern: ENDPOINT }),
  Type.Object({ address: Type.String({ pattern: ENDPOINT }), tls: Type.Optional(TlsSchema) }, strict),
]);

const ms = (description: string, fallback: number, minimum = 1) =>
  Type.Integer({ minimum, maximum: 86_400_000, default: fallback, description: `${description}, ms` });

/** All settings. Every key has a default and a description; a key that is not here is refused. */
export const ConfigSchema = Type.Object(
  {
    dataDir: Type.String({ default: './netloom-data', minLength: 1, description: 'folder of the store and keys' }),
    openflow: Type.Object(
      {
        listen: Type.Array(ListenerSchema, {
          default: ['127.0.0.1:6653'],
          minItems: 1,
          description:
            'where switches connect; entries are HOST:PORT or {address, tls: {key, cert, ca, pins, pinnedOnly}}',
        }),
        handshakeMs: ms('time a switch has to complete its handshake', 10_000),
        echoIntervalMs: ms('silence after which we ask whether the switch lives', 5_000),
        echoTimeoutMs: ms('time it has to answer that', 5_000),
        requestTimeoutMs: ms('time a switch has to answer a request', 10_000),
      },
      strict,
    ),
    http: Type.Object(
      {
        listen: Type.String({ default: '127.0.0.1:8080', pattern: ENDPOINT, description: 'REST, events and metrics' }),
        allowRemote: Type.Boolean({
          default: false,
          description: 'listen beyond loopback although the API does not authenticate yet',
        }),
        rateLimit: Type.Integer({
          minimum: 0,
          maximum: 1_000_000,
          default: 0,
          description: 'requests a second that one address may make, more get 429; 0 is no limit',
        }),
      },
      strict,
    ),
    ovsdb: Type.Object(
      {
        listen: Type.String({
          default: '127.0.0.1:6640',
          pattern: `^$|${ENDPOINT}`,
          description: 'where databases of switches dial in; empty: nowhere',
        }),
        key: Type.String({
          default: '',
          description: 'PEM file of our private key; with cert and ca: TLS both ways round',
        }),
        cert: Type.String({ default: '', description: 'PEM file of our certificate' }),
        ca: Type.String({
          default: '',
          description: 'PEM file of the authority that signs the switches’ certificates',
        }),
        approval: Type.Enum(['manual', 'auto'], {
          default: 'manual',
          description: 'auto: a database that dials in registers its hypervisor by itself',
        }),
        bridge: Type.String({
          default: 'br-int',
          minLength: 1,
          description: 'bridge that machines are plugged into, on hypervisors that register themselves',
        }),
        controllers: Type.Array(Type.String({ minLength: 1 }), {
          default: [],
          description: 'OpenFlow controllers to set on integration bridges, as tcp:HOST:PORT; empty: left alone',
        }),
      },
      strict,
    ),
    lisp: Type.Object(
      {
        listen: Type.String({
          default: '',
          pattern: `^$|${ENDPOINT.slice(0, -1)}(,${ENDPOINT.slice(1, -1)})*$`,
          description:
            'where LISP routers register and ask: HOST:PORT (UDP, usually 4342), several with commas; 0.0.0.0 and [::] stand for each address that this machine has at the start; empty: nowhere',
        }),
        solicit: Type.Boolean({
          default: true,
          description: 'tell whoever asked for a mapping lately that it has changed (Solicit-Map-Request)',
        }),
        sourceRate: Type.Integer({
          minimum: 0,
          maximum: 1_000_000,
          default: 100_000,
          description: 'datagrams a second that are taken of one address; 0 is no limit',
        }),
        routerPort: Type.Integer({
          minimum: 1,
          maximum: 65_535,
          default: 4_342,
          description: 'UDP port at which routers take what is sent to them unasked',
        }),
        rtrs: Type.Array(Type.String({ pattern: '^[0-9a-fA-F.:]{2,45}$' }), {
          default: [],
          maxItems: 32,
          description: 'addresses of re-encapsulating routers, told to routers that find themselves behind a NAT',
        }),
      },
      strict,
    ),
    overlay: Type.Object(
      {
        probeMs: ms('time between probes of a tunnel', 1_000, 100),
        probesPerSecond: Type.Integer({
          minimum: 10,
          maximum: 1_000_000,
          default: 2_000,
          description: 'probes a second over all tunnels; with more tunnels each is probed less often',
        }),
        vnis: Type.String({
          default: '1-16777215',
          pattern: RANGE,
          description: 'FIRST-LAST: VNIs for vxlan networks that name none; one that is named may be any that is free',
        }),
        vsids: Type.String({
          default: '1-16777215',
          pattern: RANGE,
          description: 'FIRST-LAST: VSIDs for nvgre networks that name none',
        }),
      },
      strict,
    ),
    gateways: Type.Object(
      { holdMs: ms('time that the switch of a gateway may be away before one that stands by takes over', 3_000, 100) },
      strict,
    ),
    mobility: Type.Object(
      {
        follow: Type.Boolean({
          default: true,
          description:
            'move a port that is bound to an interface of a hypervisor when that interface turns up at another hypervisor',
        }),
      },
      strict,
    ),
    underlay: Type.Object(
      {
        mtu: Type.Integer({
          minimum: 576,
          maximum: 65_535,
          default: 1_500,
          description: 'MTU between hypervisors, and of the fabric’s links, bytes',
        }),
        family: Type.Union([Type.Literal(4), Type.Literal(6)], {
          default: 4,
          description: 'IP version of the tunnels’ outer header, which decides how much room is left',
        }),
      },
      strict,
    ),
    defaultNetwork: Type.Boolean({
      default: false,
      description: 'put every edge port that no tenant claims into one flat learned network (labs)',
    }),
    discovery: Type.Object(
      {
        intervalMs: ms('time between probes of a port', 3_000, 100),
        holdMs: ms('time a new port is watched for a link before it may carry hosts', 500, 0),
      },
      strict,
    ),
    learning: Type.Object(
      {
        idleSeconds: Type.Integer({
          minimum: 1,
          maximum: 65_535,
          default: 300,
          description: 'silence after which a learned host is forgotten, s',
        }),
        maxHostsPerPort: Type.Integer({
          minimum: 1,
          maximum: 1_000_000,
          default: 4_096,
          description: 'learned hosts that one port may have',
        }),
      },
      strict,
    ),
    rules: Type.Object(
      { reconcileMs: ms('time between comparisons of a switch with what it should hold', 60_000, 1_000) },
      strict,
    ),
    log: Type.Object(
      {
        level: Type.Union(
          (['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const).map((level) => Type.Literal(level)),
          { default: 'info', description: 'least level that is written' },
        ),
      },
      strict,
    ),
    apps: Type.Array(Type.String({ minLength: 1 }), {
      default: [],
      description: 'third-party apps: package names, or paths that start with ./ or /',
    }),
    appSettings: Type.Record(Type.String(), Type.Unknown(), {
      default: {},
      description: 'settings handed to apps, by app name',
    }),
  },
  strict,
);

export type Config = Static<typeof ConfigSchema>;
export type ListenerConfig = Static<typeof ListenerSchema>;
