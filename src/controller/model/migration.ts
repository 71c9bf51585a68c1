import { RequestError } from '../kernel/index.ts';
import { describeBinding, readBinding, sameBinding } from './binding.ts';
import { invalid, isObject, jsonObject } from './json.ts';
import { checkMigration, type MigrationBody } from './schema.ts';
import type { JsonObject } from './service-types.ts';
import {
  ACTIVATION_SIGNS,
  type ActivatedBy,
  type Binding,
  type Migration,
  type MigrationPhase,
  type Port,
} from './types.ts';

/** What one asks for with a move, checked and in typed form. */
export type MigrationSpec = Pick<Migration, 'to' | 'deliver' | 'activateOn' | 'activateAfterMs'>;

/**
 * A step of a move: the port after it, or the port itself when there is nothing to do. Pure: it may be asked again when another writer
 * was first. Throws RequestError to refuse. `now` is an ISO time.
 */
export type PortEdit = (port: Port, now: string) => Port;

/** True from the start of a move until the old place is forgotten. */
export const isMoving = ({ migration }: Port): boolean =>
  migration !== undefined && migration.phase !== 'done' && migration.phase !== 'aborted';

/** True while a port moves and its new place does not count yet. */
export const isBeforeSwitch = ({ migration }: Port): boolean =>
  migration?.phase === 'preparing' || migration?.phase === 'ready';

/** The place of a moving port beside that of `binding`: the new one before it switches over, the old one after. */
export function otherBinding(port: Port): Binding | undefined {
  if (!isMoving(port)) return undefined;
  return isBeforeSwitch(port) ? port.migration!.to : port.migration!.from;
}

/** All places that a port has: one, two while it moves, none while it is nowhere. */
export function bindingsOf(port: Port): readonly Binding[] {
  const { binding } = port;
  const other = otherBinding(port);
  if (!binding) return [];
  return other ? [binding, other] : [binding];
}

/** What a body asks for. Throws RequestError 400 with every problem. */
export function readMigrationSpec(body: unknown): MigrationSpec {
  const shape = checkMigration(body);
  if ('problems' in shape) throw invalid(shape.problems);
  return specOf(shape.body);
}

function specOf({ to, deliver, activateOn, activateAfterMs }: MigrationBody): MigrationSpec {
  const signs = new Set<string>(activateOn ?? ACTIVATION_SIGNS);
  return {
    to: readBinding(to),
    deliver: deliver ?? 'both',
    activateOn: ACTIVATION_SIGNS.filter((sign) => signs.has(sign)),
    activateAfterMs,
  };
}

/** A move as JSON, stored and shown. */
export const migrationJson = (migration: Migration): JsonObject =>
  jsonObject({
    ...migration,
    from: { ...migration.from },
    to: { ...migration.to },
    activateOn: [...migration.activateOn],
  });

const PHASES: readonly string[] = ['preparing', 'ready', 'switched', 'done', 'aborted'] satisfies MigrationPhase[];

/** A move from its stored form. Throws when it is none of ours. */
export function readMigration(stored: unknown): Migration | undefined {
  if (stored === undefined) return undefined;
  if (!isObject(stored)) throw new TypeError('a stored migration must be a JSON object');
  const { from, to, phase, announced, deliver, activateOn, activateAfterMs, startedAt, ...rest } = stored;
  const spec = readMigrationSpec(
    Object.fromEntries(
      Object.entries({ to, deliver, activateOn, activateAfterMs }).filter(([, value]) => value !== undefined),
    ),
  );
  if (typeof phase !== 'string' || !PHASES.includes(phase) || typeof startedAt !== 'string') {
    throw new TypeError('a stored migration must have its phase and startedAt');
  }
  const text = (name: string): string | undefined =>
    typeof rest[name] === 'string' ? (rest[name] as string) : undefined;
  return {
    ...spec,
    from: readMigrationSpec({ to: from }).to,
    phase: phase as MigrationPhase,
    announced: announced === true,
    startedAt,
    readyAt: text('readyAt'),
    switchedAt: text('switchedAt'),
    endedAt: text('endedAt'),
    activatedBy: text('activatedBy') as ActivatedBy | undefined,
    seamless: rest['seamless'] === true,
    outageMs: typeof rest['outageMs'] === 'number' ? rest['outageMs'] : undefined,
    reason: text('reason'),
  };
}

const conflict = (message: string): RequestError => new RequestError(409, 'NL_CONFLICT', message);

function begun(port: Port, spec: MigrationSpec, announced: boolean, now: string): Migration {
  if (!port.binding) throw conflict(`port ${port.id} is nowhere: give it a binding instead`);
  return {
    ...spec,
    from: port.binding,
    phase: 'preparing',
    announced,
    startedAt: after(port.migration?.startedAt, now),
    readyAt: undefined,
    switchedAt: undefined,
    endedAt: undefined,
    activatedBy: undefined,
    seamless: false,
    outageMs: undefined,
    reason: undefined,
  };
}

/** A time that names one move only: later than that of the last one, however quickly they follow. */
const after = (before: string | undefined, now: string): string =>
  before === undefined || before < now ? now : new Date(Date.parse(before) + 1).toISOString();

const sameWish = (a: MigrationSpec, b: MigrationSpec): boolean =>
  sameBinding(a.to, b.to) &&
  a.deliver === b.deliver &&
  a.activateAfterMs === b.activateAfterMs &&
  a.activateOn.join() === b.activateOn.join();

/**
 * Begins a move that REST asks for. The same again changes nothing, also when it is done already; a move to the same place takes the
 * new policy over. A move to another place is refused while one has not switched over yet, unless that one was found out by ourselves: what
 * somebody says counts for more than what we saw.
 */
export const startMigration =
  (spec: MigrationSpec): PortEdit =>
  (port, now) => {
    const { migration, binding } = port;
    if (migration && isMoving(port) && sameBinding(migration.to, spec.to)) {
      if (migration.announced && sameWish(migration, spec)) return port;
      // Its new place is programmed another way now.
      const again = isBeforeSwitch(port) && migration.deliver !== spec.deliver;
      const changed: Migration = { ...migration, ...spec, announced: true };
      return {
        ...port,
        migration: again ? { ...changed, phase: 'preparing', readyAt: undefined, seamless: false } : changed,
      };
    }
    if (migration?.announced && isBeforeSwitch(port)) {
      throw conflict(
        `port ${port.id} moves to ${describeBinding(migration.to)} already (${migration.phase}); abort or complete that first`,
      );
    }
    if (sameBinding(binding, spec.to)) {
      if (migration?.phase === 'done' && migration.announced && sameBinding(migration.to, spec.to)) return port;
      throw conflict(`port ${port.id} is bound to ${describeBinding(spec.to)} already`);
    }
    return { ...port, migration: begun(port, spec, true, now) };
  };

/**
 * Follows a guest whose interface turned up at another place. `gone`: it is not at the old place any more, so that there is nothing to
 * wait for. Does nothing against a move that REST asked for.
 */
export const followMigration =
  (spec: MigrationSpec, gone: boolean): PortEdit =>
  (port, now) => {
    const { migration, binding } = port;
    if (sameBinding(binding, spec.to)) return port;
    if (migration && isMoving(port) && (migration.announced || sameBinding(migration.to, spec.to))) return port;
    const started = begun(port, spec, false, now);
    return gone
      ? switched({ ...port, migration: started }, started, 'departure', now)
      : { ...port, migration: started };
  };

/** A step of the move that began at `startedAt`, from one of these phases; for any other move, or phase, nothing. */
const within =
  (
    startedAt: string,
    phases: readonly MigrationPhase[],
    step: (port: Port, migration: Migration, now: string) => Port,
  ): PortEdit =>
  (port, now) =>
    port.migration?.startedAt === startedAt && phases.includes(port.migration.phase)
      ? step(port, port.migration, now)
      : port;

/** The new place is programmed and confirmed; `everywhere`: by the switches of all senders, none of them being away. */
export const readyMigration = (startedAt: string, everywhere: boolean): PortEdit =>
  within(startedAt, ['preparing'], (port, migration, now) => ({
    ...port,
    migration: ready(migration, everywhere, now),
  }));

const ready = (migration: Migration, everywhere: boolean, now: string): Migration => ({
  ...migration,
  phase: 'ready',
  readyAt: now,
  seamless: everywhere && migration.deliver === 'both',
});

/** The new place is not there any more. */
export const unreadyMigration = (startedAt: string): PortEdit =>
  within(startedAt, ['ready'], (port, migration) => ({
    ...port,
    migration: { ...migration, phase: 'preparing', readyAt: undefined, seamless: false },
  }));

function switched(port: Port, migration: Migration, activatedBy: ActivatedBy, now: string): Port {
  return {
    ...port,
    binding: migration.to,
    migration: { ...migration, phase: 'switched', switchedAt: now, activatedBy },
  };
}

/** The guest is at the new place, which is ready. */
export const switchMigration = (startedAt: string, activatedBy: ActivatedBy): PortEdit =>
  within(startedAt, ['ready'], (port, migration, now) => switched(port, migration, activatedBy, now));

/** The guest was at the new place before that became ready just now; `everywhere` as for `readyMigration`. */
export const switchAtOnce = (startedAt: string, activatedBy: ActivatedBy, everywhere: boolean): PortEdit =>
  within(startedAt, ['preparing'], (port, migration, now) =>
    switched(port, ready(migration, everywhere, now), activatedBy, now),
  );

/** Nobody needs the old place any more. */
export const finishMigration = (startedAt: string, outageMs: number): PortEdit =>
  within(startedAt, ['switched'], (port, migration, now) => ({
    ...port,
    migration: { ...migration, phase: 'done', endedAt: now, outageMs },
  }));

/** Takes a move back: the port is where it was, as if it had not moved. */
export const abortMigration = (startedAt: string, reason: string): PortEdit =>
  within(startedAt, ['preparing', 'ready', 'switched'], (port, migration, now) => ({
    ...port,
    binding: migration.from,
    migration: { ...migration, phase: 'aborted', endedAt: now, reason },
  }));

/** REST says that the guest runs at the new place. */
export const completeByRest: PortEdit = (port, now) => {
  const { migration } = port;
  if (!migration) throw new RequestError(404, 'NL_NOT_FOUND', `port ${port.id} has not moved`);
  switch (migration.phase) {
    case 'ready':
      return switched(port, migration, 'complete', now);
    case 'switched':
    case 'done':
      return port;
    case 'preparing':
      throw conflict(`the new place of port ${port.id} is not ready yet`);
    case 'aborted':
      throw conflict(`the move of port ${port.id} was aborted`);
  }
};

/** REST takes the move back. */
export const abortByRest: PortEdit = (port, now) => {
  const { migration } = port;
  if (!migration) throw new RequestError(404, 'NL_NOT_FOUND', `port ${port.id} has not moved`);
  if (migration.phase === 'aborted') return port;
  if (migration.phase === 'done') throw conflict(`the move of port ${port.id} is done; move it back instead`);
  return abortMigration(migration.startedAt, 'taken back by REST')(port, now);
};

/**
 * What becomes of a port's move when somebody writes the port. Its place is the move's business while one is under way that REST asked
 * for; one that we found out by ourselves ends when somebody says where the port is.
 */
export function rebound(before: Port | undefined, binding: Binding | undefined, now: string): Migration | undefined {
  const migration = before?.migration;
  if (!before || !migration || !isMoving(before) || sameBinding(before.binding, binding)) return migration;
  if (migration.announced) {
    const message = `port ${before.id} moves to ${describeBinding(migration.to)} (${migration.phase}): complete or abort that first`;
    throw new RequestError(409, 'NL_CONFLICT', message, [{ pointer: '/binding', message }]);
  }
  return { ...migration, phase: 'aborted', endedAt: now, reason: 'its port was bound by hand' };
}
