import type { ObjectService } from '../../model/index.ts';
import type { RouteAdapter } from '../adapter.ts';
import type { EventStreams } from '../event-stream.ts';
import type { MoveProgress, ObservedApi, ReadinessCheck, ReadyWait, RulesApi } from '../providers.ts';
import { bulkRoutes } from './bulk.ts';
import { migrationRoutes } from './migration.ts';
import { objectRoutes } from './objects.ts';
import { observedRoutes } from './observed.ts';
import { eventRoute, operationRoutes } from './operations.ts';

/** What our routes answer from. */
export interface RouteDeps {
  readonly objects: ObjectService;
  readonly ready: ReadyWait;
  readonly moves: MoveProgress;
  readonly observed: ObservedApi;
  readonly rules: RulesApi;
  readonly telemetry: { render(): Promise<string>; readonly contentType: string };
  readonly version: string;
  readiness(): readonly ReadinessCheck[];
}

/** Registers all routes of the core. */
export function registerRoutes(routes: RouteAdapter, deps: RouteDeps, streams: EventStreams): void {
  objectRoutes(routes, deps);
  migrationRoutes(routes, deps);
  bulkRoutes(routes, deps);
  observedRoutes(routes, deps);
  routes.stream(eventRoute(streams));
  operationRoutes(routes, deps);
}
