import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import manifest from '../package.json' with { type: 'json' };
import { configMarkdown } from '../src/controller/config/index.ts';
import { errorsMarkdown, openApiText } from '../src/controller/northbound/index.ts';
import { pipelineMarkdown } from '../src/controller/rules/index.ts';
import { wireMarkdown } from '../src/ofproto/index.ts';

/** Writes the documents that are generated from code; with `--check` it only says which are stale, and fails. */
const documents: Readonly<Record<string, () => string | Promise<string>>> = {
  'docs/configuration.md': configMarkdown,
  'docs/errors.md': errorsMarkdown,
  'docs/pipeline.md': pipelineMarkdown,
  'docs/wire.md': wireMarkdown,
  'docs/generated/openapi.json': () => openApiText(manifest.version),
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
if (check && stale.length > 0) {
  console.error(`stale: ${stale.join(', ')}; run: npm run docs`);
  process.exit(1);
}
for (const path of stale) console.log(`wrote ${path}`);
