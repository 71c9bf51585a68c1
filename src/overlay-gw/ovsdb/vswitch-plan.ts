import type { Operation, WritableRow } from './transaction.ts';
import { sameValue } from './values.ts';
import { KEY_PREFIX, OWNER_KEY, type VswitchTables, type WantedPort } from './vswitch.ts';

type Texts = ReadonlyMap<string, string>;

/** What an owner wants in a switch's database. What is not named is left alone. */
export interface WantedVswitch {
  /** Rows with this `external_ids:netloom-owner` are ours. One controller, one owner. */
  readonly owner: string;
  readonly tunnels: readonly WantedPort[];
  /** Keys in external_ids of the switch's root row; all begin with `netloom-`. Absent: not touched. */
  readonly switchIds?: Texts;
  /** The same of bridges, by name. */
  readonly bridgeIds?: ReadonlyMap<string, Texts>;
  /** Controllers of bridges, by name (`tcp:HOST:PORT`). Absent: not touched. Those that others set stay. */
  readonly controllers?: ReadonlyMap<string, readonly string[]>;
  /** Managers that the switch dials, or listens for. Absent: not touched. Those that others set stay. */
  readonly managers?: readonly string[];
}

/** Something wanted that cannot be: it is left out, the rest goes on. */
export interface VswitchProblem {
  readonly reason: 'bridge-missing' | 'name-taken' | 'named-twice' | 'name-too-long' | 'foreign-key' | 'root-missing';
  /** What it is about: a port, bridge or key. */
  readonly subject: string;
  readonly message: string;
}

export interface VswitchPlan {
  /** One transaction; empty when all is right. */
  readonly operations: readonly Operation[];
  readonly problems: readonly VswitchProblem[];
}

/**
 * Longest wait of a switch before it dials a controller again, ms: it is back without anybody polling. A switch daemon that starts
 * dials at once by itself. `other_config:flow-restore-wait` is left alone: while it is set, Open vSwitch 3.1 dials no controller.
 */
const MAX_BACKOFF_MS = 1_000;

/** Compares what is there with what is wanted. Pure: the same rows and wishes give the same plan. */
export function planVswitch(tables: VswitchTables, wanted: WantedVswitch): VswitchPlan {
  const plan = new Plan(tables, wanted);
  plan.tunnels();
  plan.externalIds();
  plan.targets();
  return plan.done();
}

class Plan {
  readonly #tables: VswitchTables;
  readonly #wanted: WantedVswitch;
  readonly #guards: Operation[] = [];
  readonly #operations: Operation[] = [];
  readonly #problems: VswitchProblem[] = [];
  readonly #bridges = new Map<string, string>();
  #names = 0;

  constructor(tables: VswitchTables, wanted: WantedVswitch) {
    this.#tables = tables;
    this.#wanted = wanted;
    for (const [uuid, { name }] of tables.rows('Bridge')) this.#bridges.set(name, uuid);
  }

  done(): VswitchPlan {
    const operations = this.#operations;
    if (operations.length === 0) return { operations, problems: this.#problems };
    // vswitchd copies next_cfg to cur_cfg when it has done all before: so we learn when the ports are there.
    const root = this.#root();
    const mark: Operation[] =
      root === undefined
        ? []
        : [{ op: 'mutate', table: 'Open_vSwitch', where: { uuid: root }, mutations: [['next_cfg', '+=', 1]] }];
    return { operations: [...this.#guards, ...operations, ...mark], problems: this.#problems };
  }

  tunnels(): void {
    const ports = this.#tables.rows('Port');
    const byName = new Map([...ports].map(([uuid, { name }]) => [name, uuid]));
    const interfaces = new Set([...this.#tables.rows('Interface').values()].map(({ name }) => name));
    const bridgeOf = new Map<string, string>();
    for (const [uuid, { ports: members }] of this.#tables.rows('Bridge'))
      for (const port of members) bridgeOf.set(port, uuid);
    const kept = new Set<string>();
    const seen = new Set<string>();
    for (const tunnel of this.#wanted.tunnels) {
      const { name } = tunnel;
      if (Buffer.byteLength(name) > 15) {
        this.#problem('name-too-long', name, `port name ${name} has more than 15 bytes`);
        continue;
      }
      if (seen.has(name)) {
        this.#problem('named-twice', name, `port ${name} is wanted twice; the first counts`);
        continue;
      }
      seen.add(name);
      const port = byName.get(name);
      const ours = port !== undefined && this.#isOurs(ports.get(port)!.external_ids);
      if (!ours && (port !== undefined || interfaces.has(name))) {
        this.#problem('name-taken', name, `a port or interface ${name} is there that is not ours`);
        continue;
      }
      const bridge = this.#bridge(tunnel.bridge, name);
      if (bridge === undefined) continue;
      if (port === undefined) {
        this.#insertTunnel(tunnel, bridge);
        continue;
      }
      kept.add(port);
      this.#adjustTunnel(tunnel, port, bridgeOf.get(port), bridge);
    }
    for (const [uuid, { external_ids }] of ports) {
      if (!this.#isOurs(external_ids) || kept.has(uuid)) continue;
      const bridge = bridgeOf.get(uuid);
      if (bridge !== undefined) this.#removeTunnel(uuid, external_ids, bridge);
    }
  }

  externalIds(): void {
    const { switchIds, bridgeIds } = this.#wanted;
    if (switchIds) {
      const root = this.#root();
      if (root === undefined) this.#problem('root-missing', 'Open_vSwitch', 'table Open_vSwitch has no row');
      else this.#ownKeys('Open_vSwitch', root, this.#tables.rows('Open_vSwitch').get(root)!.external_ids, switchIds);
    }
    for (const [name, ids] of bridgeIds ?? []) {
      const bridge = this.#bridge(name, name);
      if (bridge !== undefined)
        this.#ownKeys('Bridge', bridge, this.#tables.rows('Bridge').get(bridge)!.external_ids, ids);
    }
  }

  targets(): void {
    const { controllers, managers } = this.#wanted;
    if (controllers) {
      for (const name of controllers.keys()) this.#bridge(name, name);
      for (const [uuid, { name, controller }] of this.#tables.rows('Bridge'))
        this.#targetsOf('Bridge', uuid, 'controller', 'Controller', controller, controllers.get(name) ?? []);
    }
    if (!managers) return;
    const root = this.#root();
    if (root === undefined) {
      this.#problem('root-missing', 'Open_vSwitch', 'table Open_vSwitch has no row');
      return;
    }
    const there = this.#tables.rows('Open_vSwitch').get(root)!.manager_options;
    this.#targetsOf('Open_vSwitch', root, 'manager_options', 'Manager', there, managers);
  }

  #insertTunnel(tunnel: WantedPort, bridge: string): void {
    const { name, type, options, tag, bfd = new Map(), externalIds = new Map() } = tunnel;
    const port = this.#newName();
    const link = this.#newName();
    const owner: [string, string] = [OWNER_KEY, this.#wanted.owner];
    this.#operations.push(
      {
        op: 'insert',
        table: 'Interface',
        name: link,
        row: { name, type, options, bfd, external_ids: new Map([...externalIds, owner]) },
      },
      {
        op: 'insert',
        table: 'Port',
        name: port,
        row: {
          name,
          interfaces: { namedUuid: link },
          external_ids: new Map([owner]),
          ...(tag === undefined ? {} : { tag }),
        },
      },
      mutateSet('Bridge', bridge, 'ports', 'insert', { namedUuid: port }),
    );
  }

  #adjustTunnel(tunnel: WantedPort, port: string, from: string | undefined, bridge: string): void {
    const { external_ids, interfaces, tag } = this.#tables.rows('Port').get(port)!;
    const link = interfaces[0] ?? '';
    const row = this.#tables.rows('Interface').get(link);
    const before = this.#operations.length;
    if (row) {
      const { type, options, bfd = new Map() } = tunnel;
      const changed: WritableRow = {
        ...(row.type === type ? {} : { type }),
        ...(sameValue(row.options, options) ? {} : { options }),
        ...(sameValue(row.bfd, bfd) ? {} : { bfd }),
      };
      if (Object.keys(changed).length > 0)
        this.#operations.push({ op: 'update', table: 'Interface', where: { uuid: link }, row: changed });
      const ids = new Map([...(tunnel.externalIds ?? []), [OWNER_KEY, this.#wanted.owner]]);
      this.#setKeys('Interface', link, row.external_ids, ids, []);
    }
    if (tunnel.tag !== undefined && tag !== tunnel.tag) {
      this.#operations.push({ op: 'update', table: 'Port', where: { uuid: port }, row: { tag: tunnel.tag } });
    }
    if (from !== bridge) {
      if (from !== undefined) this.#operations.push(mutateSet('Bridge', from, 'ports', 'delete', port));
      this.#operations.push(mutateSet('Bridge', bridge, 'ports', 'insert', port));
    }
    if (this.#operations.length > before) this.#guard('Port', port, external_ids);
  }

  #removeTunnel(port: string, externalIds: Texts, bridge: string): void {
    this.#guard('Port', port, externalIds);
    // A port in no bridge, and its interface, are deleted by the server.
    this.#operations.push(mutateSet('Bridge', bridge, 'ports', 'delete', port));
  }

  #targetsOf(
    table: 'Bridge' | 'Open_vSwitch',
    uuid: string,
    column: string,
    kind: 'Controller' | 'Manager',
    there: readonly string[],
    wanted: readonly string[],
  ): void {
    const missing = new Set(wanted);
    for (const each of there) {
      const row = this.#tables.rows(kind).get(each);
      if (!row) continue;
      // A target that somebody else set serves as well; it stays theirs.
      const isWanted = missing.delete(row.target);
      if (isWanted || !this.#isOurs(row.external_ids)) continue;
      this.#guard(kind, each, row.external_ids);
      this.#operations.push(mutateSet(table, uuid, column, 'delete', each));
    }
    for (const target of [...missing].sort()) {
      const name = this.#newName();
      const external_ids = new Map([[OWNER_KEY, this.#wanted.owner]]);
      this.#operations.push(
        { op: 'insert', table: kind, name, row: { target, max_backoff: MAX_BACKOFF_MS, external_ids } },
        mutateSet(table, uuid, column, 'insert', { namedUuid: name }),
      );
    }
  }

  /** Sets keys of ours in a row of others, and removes those that are not wanted any more. */
  #ownKeys(table: 'Open_vSwitch' | 'Bridge', uuid: string, there: Texts, wanted: Texts): void {
    for (const key of wanted.keys()) {
      if (key.startsWith(KEY_PREFIX)) continue;
      this.#problem(
        'foreign-key',
        key,
        `external_ids:${key} of ${table} is not ours to set: it must begin with ${KEY_PREFIX}`,
      );
      return;
    }
    const stale = [...there.keys()].filter((key) => key.startsWith(KEY_PREFIX) && !wanted.has(key));
    this.#setKeys(table, uuid, there, wanted, stale);
  }

  #setKeys(table: string, uuid: string, there: Texts, wanted: Texts, stale: readonly string[]): void {
    const wrong = [...wanted].filter(([key, value]) => there.get(key) !== value);
    // "insert" does not replace the value of a key that is there (RFC 7047 §5.1).
    const gone = [...stale, ...wrong.map(([key]) => key).filter((key) => there.has(key))];
    const mutations = [
      ...(gone.length === 0 ? [] : [['external_ids', 'delete', gone] as const]),
      ...(wrong.length === 0 ? [] : [['external_ids', 'insert', new Map(wrong)] as const]),
    ];
    if (mutations.length > 0) this.#operations.push({ op: 'mutate', table, where: { uuid }, mutations });
  }

  /** The transaction fails, and is planned anew, when the row is gone or has another owner meanwhile. */
  #guard(table: string, uuid: string, externalIds: Texts): void {
    this.#guards.push({ op: 'wait', table, where: { uuid }, row: { external_ids: externalIds } });
  }

  #isOurs(externalIds: Texts): boolean {
    return externalIds.get(OWNER_KEY) === this.#wanted.owner;
  }

  #root(): string | undefined {
    return this.#tables.rows('Open_vSwitch').keys().next().value;
  }

  #bridge(name: string, subject: string): string | undefined {
    const uuid = this.#bridges.get(name);
    if (uuid === undefined) this.#problem('bridge-missing', subject, `there is no bridge ${name}`);
    return uuid;
  }

  #newName(): string {
    return `row${++this.#names}`;
  }

  #problem(reason: VswitchProblem['reason'], subject: string, message: string): void {
    this.#problems.push({ reason, subject, message });
  }
}

const mutateSet = (
  table: string,
  uuid: string,
  column: string,
  mutator: 'insert' | 'delete',
  member: string | { readonly namedUuid: string },
): Operation => ({ op: 'mutate', table, where: { uuid }, mutations: [[column, mutator, [member]]] });
