import type { DescribedSink } from './telemetry.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** docs/metrics.md: every metric that was declared, in order of name. */
export function metricsMarkdown(sink: DescribedSink): string {
  const rows = [...sink.described()]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, type, labels, help, buckets }) => {
      const bounds = buckets ? ` Buckets: ${buckets.join(', ')}.` : '';
      const names = labels.map((label) => `\`${label}\``).join(', ');
      return `| \`${name}\` | ${type} | ${names || '–'} | ${cell(help + bounds)} |`;
    });
  return [
    '# Metrics',
    '',
    'Answered at `/metrics` in the Prometheus text format. Names start with `netloom_`, values are in base units, `_total`',
    'marks counters. A switch is always the label `dpid`, 16 hex digits. No label holds a MAC, an address, a cookie or a port',
    'id; series per tenant are capped, what is above the cap is summed under `other`. Series vanish with their things.',
    '',
    '| name | type | labels | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    'The process itself is described by the usual `process_*` and `nodejs_*` metrics (CPU, memory, descriptors, garbage',
    'collection, event-loop lag).',
    '',
  ].join('\n');
}
