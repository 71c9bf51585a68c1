import {
  type App,
  type Compiler,
  formatMac,
  type NetworkState,
  type Owner,
  Priority,
  parseMac,
  pipeline,
  rule,
  type StateChange,
} from 'netloom';

/**
 * Drops frames of listed MAC addresses at every switch, whatever port or network they come from:
 *
 *     apps: [netloom-blocklist]
 *     appSettings: { blocklist: { macs: ["02:00:00:00:00:66"] } }
 *
 * Shows the whole of the app contract that most apps need: settings checked at start, one compiler, owners with stable ids.
 */
function macsOf(settings: unknown): readonly number[] {
  const list = (settings as { macs?: unknown } | undefined)?.macs;
  if (!Array.isArray(list)) throw new Error('appSettings.blocklist.macs: a list of MAC addresses is wanted');
  return list.map((text: unknown) => {
    const mac = typeof text === 'string' ? parseMac(text) : undefined;
    if (mac === undefined) throw new Error(`appSettings.blocklist.macs: ${JSON.stringify(text)} is not a MAC address`);
    return mac;
  });
}

/** The rules of this app; pure, so that the same state gives the same flows on every start. */
export function blocklistCompiler(app: number, macs: readonly number[]): Compiler<NetworkState, StateChange> {
  const sorted = [...new Set(macs)].sort((a, b) => a - b);
  // One owner for each switch: its index is stored, so the cookie is the same after a restart.
  const ownerOf = (index: number, dpid: string): Owner => ({ app, id: index, key: `blocklist/switch/${dpid}` });
  return {
    name: 'blocklist',
    *affected(change) {
      const sw = change.kind === 'switch' ? (change.after ?? change.before) : undefined;
      if (sw) yield ownerOf(sw.index, sw.dpid);
    },
    *owners(state) {
      for (const sw of state.observed.switches.values()) yield ownerOf(sw.index, sw.dpid);
    },
    compile(owner, state) {
      const sw = state.observed.switchByIndex(owner.id);
      if (!sw) return new Map();
      return new Map([
        [
          sw.dpid,
          sorted.map((ethSrc) => rule(pipeline.classify, { priority: Priority.deny, match: { ethSrc }, do: [] })),
        ],
      ]);
    },
  };
}

const blocklist: App = {
  name: 'blocklist',
  start(context) {
    const macs = macsOf(context.settings);
    context.compiler(blocklistCompiler(context.id, macs));
    context.route({
      method: 'GET',
      path: '/v1/apps/blocklist/macs',
      operationId: 'listBlockedMacs',
      tag: 'blocklist',
      summary: 'MAC addresses that are kept out',
      replies: { 200: { description: 'The list, in order' } },
      handle: () => ({ status: 200, body: { items: [...macs].sort((a, b) => a - b).map(formatMac) } }),
    });
    context.log.info({ macs: macs.map(formatMac) }, 'blocklist is in force');
  },
};

export default blocklist;
