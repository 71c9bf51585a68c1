#!/usr/bin/env node
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensureNodeModules, ensureOpenVswitch, ensurePrograms, isRoot, root } from './lib.mjs';

/** `npm run demo [-- --exit]`: sets the machine up, then runs scripts/demo.ts. Plain JavaScript: node_modules may not exist yet. */

const say = (text) => console.log(`netloom demo: ${text}`);

if (!isRoot()) {
  console.error(
    [
      'netloom demo: needs root, to make network namespaces and Open vSwitch bridges. Run:',
      '  sudo npm run demo',
      'It installs (Debian, Ubuntu): openvswitch-switch, mininet, iproute2, ethtool, iputils-ping; and npm packages into ./node_modules.',
    ].join('\n'),
  );
  process.exit(1);
}

ensureNodeModules(say);
const problem = ensurePrograms(['ovs-vswitchd', 'mnexec', 'ip', 'ethtool', 'ping'], say) ?? ensureOpenVswitch(say);
if (problem !== undefined) {
  console.error(`netloom demo: ${problem}`);
  process.exit(1);
}

const demo = spawn(process.execPath, ['--import', 'tsx', join(root, 'scripts/demo.ts'), ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => demo.kill(signal));
demo.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
