import { defineConfig } from 'vitest/config';

/** Suites by what they need; `npm test` (scripts/test.mjs) chooses which can run here and says why others cannot. */
export default defineConfig({
  // As tsconfig.json: examples import the package by its name.
  resolve: { alias: { netloom: new URL('./src/controller/index.ts', import.meta.url).pathname } },
  test: {
    include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    pool: 'forks',
    reporters: ['default'],
  },
});
