#!/usr/bin/env node
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureNodeModules, ensureOpenVswitch, ensurePrograms, isRoot, root, which } from './lib.mjs';

/**
 * `npm test`: installs what the tests need, runs every suite that can run here, prints each that cannot with its reason, and
 * ends with one line of counts. With CI=true a suite that cannot run is a failure. Arguments pick suites by name.
 */

const say = (text) => console.log(`netloom test: ${text}`);

const needsOvs = () => {
  if (!isRoot()) return 'needs root: it makes network namespaces';
  return ensurePrograms(['ovs-vswitchd', 'vtep-ctl', 'ip', 'ethtool', 'ping'], say);
};

/** Debian's package starts a service that listens everywhere: nothing to install unasked on somebody's own machine. */
const needsPrometheus = () => {
  if (process.env.CI === 'true') return ensurePrograms(['prometheus', 'promtool'], say);
  return which('prometheus') && which('promtool') ? undefined : 'needs prometheus; apt-get install prometheus';
};

// `files` are what their paths begin with.
const suites = [
  {
    name: 'base',
    files: ['test/unit/', 'test/vectors/', 'test/property/', 'test/fuzz/', 'test/conformance/', 'examples/'],
    why: () => undefined,
    parallel: true,
  },
  { name: 'ovs', files: ['test/ovs/'], why: needsOvs },
  {
    name: 'mininet',
    files: ['test/mininet/'],
    why: () => needsOvs() ?? ensurePrograms(['mnexec', 'tcpdump', 'tshark'], say) ?? ensureOpenVswitch(say),
  },
  {
    name: 'lisp',
    files: ['test/peers/lisp'],
    why: () => needsOvs() ?? ensurePrograms(['python3'], say),
  },
  {
    name: 'peers',
    files: ['test/peers/prometheus'],
    why: () => needsOvs() ?? ensurePrograms(['mnexec'], say) ?? needsPrometheus(),
  },
];

const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !suites.some((suite) => suite.name === name));
if (unknown.length > 0) {
  console.error(`unknown suite ${unknown.join(', ')}; there are ${suites.map((suite) => suite.name).join(', ')}`);
  process.exit(2);
}

ensureNodeModules(say);
const scratch = mkdtempSync(join(tmpdir(), 'netloom-test-'));
const total = { passed: 0, failed: 0, skipped: 0 };
const notes = [];

for (const suite of suites) {
  if (chosen.length > 0 && !chosen.includes(suite.name)) continue;
  const reason = suite.why();
  if (reason !== undefined) {
    notes.push(`suite ${suite.name} skipped: ${reason}`);
    if (process.env.CI === 'true') total.failed++;
    else total.skipped++;
    continue;
  }
  say(`suite ${suite.name}`);
  const report = join(scratch, `${suite.name}.json`);
  const done = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      ...suite.files,
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...(suite.parallel ? [] : ['--no-file-parallelism']),
    ],
    { cwd: root, stdio: 'inherit' },
  );
  if (!existsSync(report)) {
    notes.push(`suite ${suite.name}: the runner ended (${done.signal ?? done.status}) without a report`);
    total.failed++;
    continue;
  }
  const result = JSON.parse(readFileSync(report, 'utf8'));
  total.passed += result.numPassedTests;
  total.failed += result.numFailedTests;
  total.skipped += result.numPendingTests;
  if (done.status !== 0 && result.numFailedTests === 0) {
    notes.push(`suite ${suite.name}: the runner failed outside of a test (see above)`);
    total.failed++;
  }
}

rmSync(scratch, { recursive: true });
for (const note of notes) say(note);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0);
