import { defineConfig } from 'vitest/config';

/** Suites by what they need; `npm test` (scripts/test.mjs) chooses which can run here and says why others cannot. */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    pool: 'forks',
    reporters: ['default'],
  },
});
