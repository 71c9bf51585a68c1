import Fastify from 'fastify';
import { RouteAdapter } from './adapter.ts';
import type { EventStreams } from './event-stream.ts';
import { registerOpenApi } from './openapi.ts';
import type { RouteRegistrar } from './route.ts';
import { type RouteDeps, registerRoutes } from './routes/index.ts';

/** The OpenAPI document as JSON text, without a controller: what `npm run docs` writes and `/openapi.json` answers. */
export async function openApiText(
  version: string,
  apps: readonly ((registrar: RouteRegistrar) => void)[] = [],
): Promise<string> {
  const app = Fastify({ logger: false });
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => JSON.stringify);
  await registerOpenApi(app, version);
  const routes = new RouteAdapter(app, new AbortController().signal);
  // Routes are described, never called, so there is nothing behind them.
  registerRoutes(routes, { version } as RouteDeps, {} as EventStreams);
  for (const register of apps) register(routes);
  await app.ready();
  const text = `${JSON.stringify(app.swagger(), undefined, 2)}\n`;
  await app.close();
  return text;
}
