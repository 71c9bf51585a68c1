import { readFileSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { topologies } from '../../simulate/index.ts';

/** Exit codes of every command: done, refused or failed, wrong use. */
export const ExitCode = { ok: 0, failed: 1, usage: 2 } as const;

/** Values of the settings flags of `serve` and `config print`, by dotted key, as text. */
export type FlagValues = Readonly<Record<string, string | undefined>>;

/** What `simulate` was asked for, as text that is checked already. */
export interface SimulateOptions {
  readonly connect: string;
  readonly switches: number;
  readonly ports: number;
  readonly topology: string;
  readonly dpidBase: bigint;
  readonly hosts: number;
  readonly cutsPerSecond: number;
  readonly flapsPerSecond: number;
  readonly seconds: number;
  readonly upSeconds: number;
  readonly json: boolean;
}

/** What `bench` was asked for, as text that is checked already. */
export interface BenchOptions {
  readonly connect: string;
  readonly against: string | undefined;
  readonly switches: number;
  readonly window: number;
  readonly rate: number | undefined;
  readonly seconds: number;
  readonly rounds: number;
  readonly json: boolean;
}

/** The work behind each command; handed in by `main.ts`, so that this file knows words only. Each resolves to an exit code. */
export interface Commands {
  serve(options: { readonly file: string | undefined; readonly flags: FlagValues }): Promise<number>;
  configPrint(options: {
    readonly file: string | undefined;
    readonly flags: FlagValues;
    readonly json: boolean;
  }): Promise<number>;
  simulate(options: SimulateOptions): Promise<number>;
  bench(options: BenchOptions): Promise<number>;
  wireDecode(options: {
    readonly files: readonly string[];
    readonly protocol: string;
    readonly jsonl: boolean;
  }): Promise<number>;
}

const version = (): string =>
  (JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }).version;

/** Flags that are settings: option name → dotted key. */
const SETTINGS = {
  data: 'dataDir',
  openflow: 'openflow.listen',
  http: 'http.listen',
  ovsdb: 'ovsdb.listen',
  lisp: 'lisp.listen',
  logLevel: 'log.level',
} as const;

function flagValues(options: Readonly<Record<string, unknown>>): FlagValues {
  const flags: Record<string, string | undefined> = {};
  for (const [option, key] of Object.entries(SETTINGS)) {
    const value = options[option];
    if (value !== undefined) flags[key] = String(value);
  }
  if (options['defaultNetwork'] === true) flags['defaultNetwork'] = 'true';
  return flags;
}

const withSettings = (command: Command): Command =>
  command
    .option('--config <file>', 'YAML file of settings (see docs/configuration.md)', process.env['NETLOOM_CONFIG'])
    .option('--data <dir>', 'folder of the store and keys')
    .option('--openflow <host:port>', 'where switches connect; several with commas')
    .option('--http <host:port>', 'REST, events and metrics')
    .option('--ovsdb <host:port>', 'where databases of switches dial in')
    .option('--lisp <host:port>', 'where LISP routers register and ask (UDP); several with commas')
    .option('--default-network', 'put every unclaimed edge port into one flat learned network')
    .option('--log-level <level>', 'least level that is written');

const wholeNumber =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`a whole number from ${least} to ${most} is wanted.`);
    }
    return value;
  };

/** An option that takes a whole number within bounds. */
const number = (flags: string, description: string, fallback: number, least: number, most: number): Option =>
  new Option(flags, `${description} (${least}…${most})`).default(fallback).argParser(wholeNumber(least, most));

/** Runs the command line; `argv` without the program's own words. Resolves to the exit code and prints usage errors. */
export async function runCli(argv: readonly string[], commands: Commands): Promise<number> {
  let code: number = ExitCode.ok;
  const program = new Command('netloom')
    .description('Network-virtualization controller for OpenFlow 1.3 fabrics and overlays')
    .version(version())
    .exitOverride()
    .showHelpAfterError('(netloom --help lists what there is)');

  withSettings(program.command('serve').description('run the controller')).action(
    async (options: Record<string, unknown>) => {
      code = await commands.serve({ file: options['config'] as string | undefined, flags: flagValues(options) });
    },
  );

  const config = program.command('config').description('settings');
  withSettings(config.command('print').description('show each setting, its value and where that came from'))
    .option('--json', 'as JSON', false)
    .action(async (options: Record<string, unknown>) => {
      code = await commands.configPrint({
        file: options['config'] as string | undefined,
        flags: flagValues(options),
        json: options['json'] === true,
      });
    });

  const wire = program.command('wire').description('messages as bytes');
  wire
    .command('decode')
    .description('decode messages; a file holds one or several, "-" reads one hex string a line')
    .option('--protocol <name>', 'openflow, lisp (the payload of one datagram a file), or ovsdb (JSON-RPC)', 'openflow')
    .option('--jsonl', 'one JSON object a file', false)
    .argument('<files...>', 'binary files, or -')
    .action(async (files: string[], options: { protocol: string; jsonl: boolean }) => {
      code = await commands.wireDecode({ files, protocol: options.protocol, jsonl: options.jsonl });
    });

  program
    .command('simulate')
    .description('virtual OpenFlow switches that connect to a controller: for your own tests of one')
    .option('--connect <host:port>', 'the controller', '127.0.0.1:6653')
    .addOption(number('--switches <n>', 'how many', 10, 1, 65_000))
    .addOption(number('--ports <n>', 'ports for hosts of each', 4, 0, 4_096))
    .addOption(new Option('--topology <name>', 'their cables').choices(topologies).default('none'))
    .addOption(number('--hosts <n>', 'hosts of each, which announce themselves by ARP', 0, 0, 4_096))
    .addOption(number('--cuts <n>', 'connections to break a second, one switch after the other', 0, 0, 1_000))
    .addOption(number('--flaps <n>', 'cables, else ports for hosts, to take down and up a second', 0, 0, 1_000))
    .addOption(number('--seconds <n>', 'how long they stay once all are up', 10, 0, 31_536_000))
    .addOption(number('--up-within <n>', 'seconds in which all have to be up', 60, 1, 86_400))
    .option('--dpid-base <hex>', 'datapath id of the first', '1')
    .option('--json', 'the summary as JSON', false)
    .addHelpText(
      'after',
      '\nExit code 0 when all switches were up in time and no connection broke that was not cut on purpose, 1 otherwise.',
    )
    .action(async (options: Record<string, unknown>) => {
      const hosts = Math.min(options['hosts'] as number, options['ports'] as number);
      const base = String(options['dpidBase']);
      if (!/^(0x)?[0-9a-f]{1,16}$/i.test(base)) program.error(`--dpid-base: "${base}" is not a datapath id in hex`);
      code = await commands.simulate({
        connect: String(options['connect']),
        switches: options['switches'] as number,
        ports: options['ports'] as number,
        topology: String(options['topology']),
        dpidBase: BigInt(`0x${base.replace(/^0x/i, '')}`),
        hosts,
        cutsPerSecond: options['cuts'] as number,
        flapsPerSecond: options['flaps'] as number,
        seconds: options['seconds'] as number,
        upSeconds: options['upWithin'] as number,
        json: options['json'] === true,
      });
    });

  program
    .command('bench')
    .description(
      'packet-ins for a controller that forwards for unknown hosts, and how fast it answers; against another, the ratio',
    )
    .option('--connect <host:port>', 'the controller', '127.0.0.1:6653')
    .option('--against <host:port>', 'another controller, measured in turns with the first')
    .addOption(number('--switches <n>', 'how many', 16, 1, 4_096))
    .addOption(number('--window <n>', 'unanswered packet-ins of each', 64, 1, 16_384))
    .addOption(
      new Option('--rate <n>', 'packet-ins a second in all, instead of a window').argParser(wholeNumber(1, 1_000_000)),
    )
    .addOption(number('--seconds <n>', 'of a round', 2, 1, 3_600))
    .addOption(number('--rounds <n>', 'of each controller', 3, 1, 1_000))
    .option('--json', 'as JSON', false)
    .addHelpText(
      'after',
      '\nAn answer is a packet-out. Exit code 1 when answers were lost or a controller did not answer.',
    )
    .action(async (options: Record<string, unknown>) => {
      code = await commands.bench({
        connect: String(options['connect']),
        against: options['against'] as string | undefined,
        switches: options['switches'] as number,
        window: options['window'] as number,
        rate: options['rate'] as number | undefined,
        seconds: options['seconds'] as number,
        rounds: options['rounds'] as number,
        json: options['json'] === true,
      });
    });

  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  }
  return code;
}
