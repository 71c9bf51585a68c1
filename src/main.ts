#!/usr/bin/env node
import './heap.ts';
import { readFileSync } from 'node:fs';
import {
  bench,
  type Commands,
  ExitCode,
  openflowProtocol,
  runCli,
  simulate,
  wireDecode,
} from './controller/cli/index.ts';
import { loadConfig } from './controller/config/index.ts';
import { ConfigError, systemClock } from './controller/kernel/index.ts';
import { createLogger, createTelemetry } from './controller/telemetry/index.ts';
import { lispProtocol } from './overlay-gw/lisp/index.ts';
import { ovsdbProtocol } from './overlay-gw/ovsdb/index.ts';
import { startNetloom } from './serve.ts';

/** Wiring only: configuration → parts → start → orderly stop. */

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Longest orderly stop; after it the process ends anyway. Flows on switches are not touched either way. */
const STOP_MS = 9_500;

const settings = (options: Parameters<Commands['serve']>[0]) =>
  loadConfig({ file: options.file, environment: process.env, flags: options.flags });

const serve: Commands['serve'] = async (options) => {
  const { config } = settings(options);
  const log = createLogger({ level: config.log.level });
  const controller = await startNetloom({ config, version, log, telemetry: createTelemetry({ log }) });
  const { openflow, http, ovsdb, lisp } = controller.addresses;
  const optional = Object.entries({ ovsdb, lisp }).filter(([, address]) => address !== '');
  const listening = [`openflow=${openflow.join(',')}`, `http=${http}`, ...optional.map((each) => each.join('='))].join(
    ' ',
  );
  console.log(`netloom ${version} ready: ${listening} data=${config.dataDir}`);
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        log.info({ signal }, 'stopping');
        resolve();
      });
    }
  });
  setTimeout(() => {
    log.error({ ms: STOP_MS }, 'orderly stop took too long');
    process.exit(ExitCode.failed);
  }, STOP_MS).unref();
  await controller.stop();
  return ExitCode.ok;
};

const configPrint: Commands['configPrint'] = async ({ json, ...options }) => {
  const { entries } = settings(options);
  if (json)
    console.log(
      JSON.stringify(
        entries.map(({ key, value, source }) => ({ key, value, source })),
        undefined,
        2,
      ),
    );
  else for (const { key, value, source } of entries) console.log(`${key} = ${JSON.stringify(value)}  (${source})`);
  return ExitCode.ok;
};

const terminal = {
  out: (text: string) => void process.stdout.write(text),
  progress: (text: string) => console.error(text),
};

try {
  process.exitCode = await runCli(process.argv.slice(2), {
    serve,
    configPrint,
    simulate: (options) => {
      const stopped = new AbortController();
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stopped.abort());
      return simulate(options, systemClock, stopped.signal, terminal);
    },
    bench: (options) => bench(options, systemClock, terminal),
    wireDecode: (options) =>
      wireDecode(
        options,
        {
          stdin: process.stdin,
          out: (text) => void process.stdout.write(text),
          err: (text) => void process.stderr.write(text),
        },
        [openflowProtocol, lispProtocol, ovsdbProtocol],
      ),
  });
} catch (error) {
  // One line for what the user can mend; the trace only for what is ours.
  if (error instanceof ConfigError) console.error(`netloom: wrong configuration: ${error.message}`);
  else if (error instanceof Error && ('code' in error || 'details' in error))
    console.error(`netloom: ${error.message}`);
  else console.error(error);
  process.exitCode = error instanceof ConfigError ? ExitCode.usage : ExitCode.failed;
}
// Reading a pipe that nobody writes to would keep the process alive.
process.exit();
