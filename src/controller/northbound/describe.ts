import Fastify, { type FastifyInstance } from 'fastify';
import { RouteAdapter } from './adapter.ts';
import type { EventStreams } from './event-stream.ts';
import { registerOpenApi } from './openapi.ts';
import type { RouteSpec } from './route.ts';
import { type RouteDeps, registerRoutes } from './routes/index.ts';

/** The OpenAPI document as JSON text, without a controller: what `npm run docs` writes and `/openapi.json` answers. `more` are routes of apps. */
export async function openApiText(version: string, more: readonly RouteSpec[] = []): Promise<string> {
  return `${JSON.stringify(await describeApi(version, more), undefined, 2)}\n`;
}

type Described = ReturnType<FastifyInstance['swagger']>;

async function describeApi(version: string, more: readonly RouteSpec[]): Promise<Described> {
  const app = Fastify({ logger: false });
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => JSON.stringify);
  await registerOpenApi(app, version);
  const routes = new RouteAdapter(app, new AbortController().signal);
  // Routes are described, never called, so there is nothing behind them.
  registerRoutes(routes, { version } as RouteDeps, {} as EventStreams);
  for (const route of more) routes.route(route);
  await app.ready();
  const described = app.swagger();
  await app.close();
  return described;
}

interface Operation {
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly description?: string }[];
  readonly requestBody?: unknown;
  readonly responses?: Readonly<Record<string, unknown>>;
}

const oneLine = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** docs/rest.md: what can be asked for, in the words of the OpenAPI document. */
export async function restMarkdown(version: string, more: readonly RouteSpec[] = []): Promise<string> {
  const paths =
    ((await describeApi(version, more)) as { readonly paths?: Readonly<Record<string, unknown>> }).paths ?? {};
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods as Readonly<Record<string, Operation>>).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      ...operation,
    })),
  );
  const parameters = new Map<string, string>();
  for (const { parameters: list = [] } of operations) {
    for (const each of list) {
      if (each.in !== 'path')
        parameters.set(each.in === 'header' ? each.name : `?${each.name}=`, each.description ?? '');
    }
  }
  const rows = operations.map(({ method, path, summary, parameters: list = [], responses = {} }) => {
    const query = list.filter((each) => each.in === 'query').map(({ name }) => `\`${name}\``);
    const codes = Object.keys(responses).filter((code) => Number(code) < 400);
    return `| \`${method} ${path}\` | ${oneLine(summary ?? '')} | ${query.join(' ')} | ${codes.join(' ')} |`;
  });
  return [
    '# REST',
    '',
    'The whole contract, with every field, is the OpenAPI 3.1 document: `/openapi.json` of a running controller, `/docs` to read and',
    'try it, [generated/openapi.json](generated/openapi.json) here. Bodies are JSON. Refusals are `application/problem+json` with a',
    '`code` and, for each wrong field, a JSON pointer ([errors](errors.md)). 64-bit numbers are strings, datapath ids 16 hex digits.',
    '',
    '| request | does | query | answers |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    '## Query parameters and headers',
    '',
    '| name | meaning |',
    '| --- | --- |',
    ...[...parameters].map(([name, meaning]) => `| \`${name}\` | ${oneLine(meaning)} |`),
    '',
  ].join('\n');
}
