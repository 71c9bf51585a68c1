import { type DesiredChange, idsOf, type ObjectKind, type ObjectService, restPath } from '../model/index.ts';
import type { EventInput, EventLog } from './event-log.ts';

/** The event of one change: `port.created`, `port.updated`, `port.deleted`. Readers get the object itself by its path. */
export function changeEvent(change: DesiredChange, revision: number): EventInput {
  const object = change.after ?? change.before;
  const kind: ObjectKind = change.kind;
  const what = change.before === undefined ? 'created' : change.after === undefined ? 'deleted' : 'updated';
  const type = `${kind}.${what}`;
  if (!object) return { type, revision };
  const ids = idsOf(object);
  const path = restPath(kind, ids);
  return ids.tenant === '' ? { type, revision, object: path } : { type, revision, tenant: ids.tenant, object: path };
}

/** Publishes what is committed, in order. The function returned ends it. */
export function publishChanges(objects: Pick<ObjectService, 'onChange'>, log: EventLog): () => void {
  return objects.onChange('events', (changes, revision) => {
    for (const change of changes) log.publish(changeEvent(change, revision));
  });
}
