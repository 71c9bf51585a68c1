import { type Dpid, RequestError, silentLogger, systemClock } from '../../../src/controller/kernel/index.ts';
import type {
  JsonObject,
  ObjectIds,
  ObjectJson,
  ObjectService,
  WriteOptions,
} from '../../../src/controller/model/index.ts';
import {
  createHttpServer,
  EventLog,
  type HttpServer,
  type HttpServerDeps,
  type ReadyWait,
  type RulesApi,
  type SwitchView,
} from '../../../src/controller/northbound/index.ts';
import type { FlowView } from '../../../src/controller/rules/index.ts';
import { createTelemetry, type Telemetry } from '../../../src/controller/telemetry/index.ts';

/** The part of the object service that HTTP uses, kept in a map. Its rules are few: what HTTP adds is under test. */
export class FakeObjects
  implements Pick<ObjectService, 'revision' | 'put' | 'patch' | 'delete' | 'get' | 'list' | 'bulk'>
{
  revision = 10;
  readonly #objects = new Map<string, ObjectJson>();

  #key(kind: string, { tenant, id }: ObjectIds): string {
    for (const part of id === undefined ? [tenant] : [tenant, id]) {
      if (!/^[a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?$/.test(part)) {
        throw new RequestError(400, 'NL_INVALID', 'bad id', [{ pointer: '/id', message: 'is no id' }]);
      }
    }
    return `${kind}/${tenant}/${id ?? ''}`;
  }

  async put(kind: string, ids: ObjectIds, body: unknown, options: WriteOptions = {}) {
    const key = this.#key(kind, ids);
    const before = this.#objects.get(key);
    if (options.ifNoneMatch && before) throw new RequestError(412, 'NL_PRECONDITION', 'exists');
    if (options.ifMatch !== undefined && before?.revision !== options.ifMatch) {
      throw new RequestError(412, 'NL_PRECONDITION', `revision is ${before?.revision}`);
    }
    if (typeof body !== 'object' || body === null || Array.isArray(body)) {
      throw new RequestError(400, 'NL_INVALID', 'expected an object', [{ pointer: '', message: 'expected an object' }]);
    }
    const { vlan } = body as { vlan?: unknown };
    if (vlan !== undefined)
      throw new RequestError(400, 'NL_INVALID', 'vlan', [{ pointer: '/vlan', message: 'unknown field' }]);
    const same = before && JSON.stringify(this.#fields(before)) === JSON.stringify(body);
    if (same) return { object: before, created: false, changed: false, revision: before.revision };
    const revision = options.dryRun ? this.revision : ++this.revision;
    const now = '2026-01-01T00:00:00.000Z';
    const object: ObjectJson = {
      ...(body as JsonObject),
      id: ids.id ?? ids.tenant,
      revision,
      createdAt: now,
      updatedAt: now,
      status: { conditions: [] },
    };
    if (!options.dryRun) this.#objects.set(key, object);
    const plan = options.dryRun
      ? { plan: { changes: [{ switch: '0000000000000001', add: 2, modify: 0, delete: 0 }] } }
      : {};
    return { object, created: !before, changed: true, revision, ...plan };
  }

  #fields({ id: _id, revision: _r, createdAt: _c, updatedAt: _u, status: _s, ...fields }: ObjectJson): JsonObject {
    return fields;
  }

  async patch(kind: string, ids: ObjectIds, body: unknown, options: WriteOptions = {}) {
    const before = this.get(kind, ids);
    return this.put(kind, ids, { ...this.#fields(before), ...(body as JsonObject) }, options);
  }

  async delete(kind: string, ids: ObjectIds, options: { cascade?: boolean; dryRun?: boolean } = {}) {
    const object = this.get(kind, ids);
    const users = [...this.#objects.keys()].filter(
      (key) => kind === 'tenant' && key.startsWith(`network/${ids.tenant}/`),
    );
    if (users.length > 0 && !options.cascade) throw new RequestError(409, 'NL_IN_USE', 'in use', [], { users });
    if (!options.dryRun) for (const key of [...users, this.#key(kind, ids)]) this.#objects.delete(key);
    return { revision: options.dryRun ? this.revision : ++this.revision, deleted: [...users, object.id] };
  }

  get(kind: string, ids: ObjectIds): ObjectJson {
    const object = this.#objects.get(this.#key(kind, ids));
    if (!object) throw new RequestError(404, 'NL_NOT_FOUND', 'not there');
    return object;
  }

  list(kind: string, { tenant }: { tenant?: string }, { limit = 100 } = {}) {
    const prefix = tenant === undefined ? `${kind}/` : `${kind}/${tenant}/`;
    const items = [...this.#objects].filter(([key]) => key.startsWith(prefix)).map(([, object]) => object);
    return { items: items.slice(0, limit), revision: this.revision };
  }

  async bulk(operations: Parameters<ObjectService['bulk']>[0], { atomic }: { atomic: boolean }) {
    const items: Awaited<ReturnType<ObjectService['bulk']>>['items'][number][] = [];
    for (const [i, operation] of operations.entries()) {
      try {
        if (operation.method === 'DELETE') {
          items.push({ ok: true, method: 'DELETE', ...(await this.delete(operation.kind, operation.ids)) });
        } else {
          const result = await this.put(operation.kind, operation.ids, operation.body);
          items.push({ ok: true, method: operation.method, ...result });
        }
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        if (atomic) {
          const errors = error.errors.map((e) => ({ ...e, pointer: `/operations/${i}/body${e.pointer}` }));
          throw new RequestError(error.status, error.code, error.message, errors);
        }
        items.push({ ok: false, error });
      }
    }
    return { items, revision: this.revision };
  }
}

export const dpid = '0020000000000001' as Dpid;

const sw: SwitchView = {
  id: dpid,
  index: 1,
  connected: true,
  remote: '127.0.0.1:40000',
  since: '2026-01-01T00:00:00.000Z',
  manufacturer: 'Nicira, Inc.',
  hardware: 'Open vSwitch',
  software: '3.1.0',
  nicira: true,
  ports: 1,
};

export const flow: FlowView = {
  table: 'classify',
  tableId: 0,
  priority: 100,
  priorityName: '100',
  match: 'in_port=1',
  actions: 'write_metadata:0x1/0xffffffff,goto_table:1',
  cookie: '0x4000000000000002',
  idleTimeout: 0,
  hardTimeout: 0,
  durationSec: 5,
  packets: 9007199254740993n,
  bytes: 18446744073709551614n,
  origin: 'wanted',
  reason: { owner: 'tenants/port/acme/web-1', object: '/v1/tenants/acme/ports/web-1', revision: 7 },
};

export interface Fixture {
  readonly server: HttpServer;
  readonly objects: FakeObjects;
  readonly events: EventLog;
  readonly telemetry: Telemetry;
  /** What `ready.waitReady` does; replace it. */
  waitReady: ReadyWait['waitReady'];
  rules: RulesApi;
}

/** A server over fakes, listening nowhere yet. */
export async function fixture(over: Partial<HttpServerDeps> = {}): Promise<Fixture> {
  const telemetry = createTelemetry({ log: silentLogger, processMetrics: false });
  const objects = new FakeObjects();
  const events = over.events ?? new EventLog({ clock: systemClock, revision: 10, capacity: 64 });
  const made: { server?: HttpServer } & Omit<Fixture, 'server'> = {
    objects,
    events,
    telemetry,
    waitReady: async () => true,
    rules: {
      flows: async () => [flow],
      groups: async () => [],
      meters: async () => [],
      diff: async () => ({ missing: [], unexpected: [], different: [], foreign: [] }),
    },
  };
  made.server = await createHttpServer({
    objects: objects as unknown as ObjectService,
    moves: { waitsFor: () => undefined },
    ready: { waitReady: (...args) => made.waitReady(...args) },
    observed: {
      revision: 3,
      switches: () => ({ items: [sw], revision: 3 }),
      switch: (id) => (id === dpid ? sw : undefined),
      ports: () => [
        { no: 0xfffffffe, name: 's1', mac: '02:00:00:00:00:01', up: true, currentSpeed: 0, role: 'local', badLldp: 0 },
      ],
      links: () => ({ items: [], revision: 3 }),
      tunnels: () => ({ items: [], revision: 0 }),
      hosts: () => ({ items: [], revision: 3 }),
      topology: () => ({ switches: [sw], links: [], revision: 3 }),
    },
    rules: {
      flows: (id) => made.rules.flows(id),
      groups: (id) => made.rules.groups(id),
      meters: (id) => made.rules.meters(id),
      diff: (id) => made.rules.diff(id),
    },
    events,
    telemetry,
    readiness: () => [{ name: 'store', ok: true }],
    log: silentLogger,
    clock: systemClock,
    version: '0.0.0',
    ...over,
  });
  return made as Fixture;
}
