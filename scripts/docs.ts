import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import manifest from '../package.json' with { type: 'json' };
import { configMarkdown, loadConfig } from '../src/controller/config/index.ts';
import { silentLogger } from '../src/controller/kernel/index.ts';
import { errorsMarkdown, openApiText, type RouteSpec, restMarkdown } from '../src/controller/northbound/index.ts';
import { pipelineMarkdown } from '../src/controller/rules/index.ts';
import { createTelemetry, metricsMarkdown } from '../src/controller/telemetry/index.ts';
import { wireMarkdown } from '../src/ofproto/index.ts';
import { startNetloom } from '../src/serve.ts';

/** Metrics are declared, and routes of apps made, by the parts as they start, so a controller is started. */
async function started(): Promise<{ readonly metrics: string; readonly routes: readonly RouteSpec[] }> {
  const dataDir = mkdtempSync(join(tmpdir(), 'netloom-docs-'));
  const any = '127.0.0.1:0';
  const { config } = loadConfig({ environment: {}, flags: { dataDir, 'openflow.listen': any, 'http.listen': any } });
  const telemetry = createTelemetry({ log: silentLogger });
  const controller = await startNetloom({ config, version: manifest.version, log: silentLogger, telemetry });
  const routes = [...controller.routes];
  await controller.stop();
  rmSync(dataDir, { recursive: true });
  return { metrics: metricsMarkdown(telemetry.sink), routes };
}
const { metrics, routes } = await started();

/** Writes the documents that are generated from code; with `--check` it only says which are stale, and fails. */
const documents: Readonly<Record<string, () => string | Promise<string>>> = {
  'docs/configuration.md': configMarkdown,
  'docs/errors.md': errorsMarkdown,
  'docs/metrics.md': () => metrics,
  'docs/pipeline.md': pipelineMarkdown,
  'docs/rest.md': () => restMarkdown(manifest.version, routes),
  'docs/wire.md': wireMarkdown,
  'docs/generated/openapi.json': () => openApiText(manifest.version, routes),
};

const check = process.argv.includes('--check');
const stale: string[] = [];
for (const [path, make] of Object.entries(documents)) {
  const file = join(import.meta.dirname, '..', path);
  const wanted = await make();
  const present = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  if (present === wanted) continue;
  stale.push(path);
  if (check) continue;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, wanted);
}
/** Links of the documents that lead to files that are not there. */
function deadLinks(): string[] {
  const root = join(import.meta.dirname, '..');
  const files = ['.', 'docs', 'docs/decisions', 'examples/blocklist'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name)),
  );
  return files.flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(/\]\((?!\w+:|#)([^)#]+)/g)]
      .map(([, link]) => link!)
      .filter((link) => !existsSync(join(root, dirname(file), link)))
      .map((link) => `${file}: ${link}`),
  );
}

if (check) {
  const dead = deadLinks();
  if (dead.length > 0) {
    console.error(`links to nothing: ${dead.join(', ')}`);
    process.exit(1);
  }
}
if (check && stale.length > 0) {
  console.error(`stale: ${stale.join(', ')}; run: npm run docs`);
  process.exit(1);
}
for (const path of stale) console.log(`wrote ${path}`);
