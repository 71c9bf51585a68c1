import {
  type Compiler,
  type Dpid,
  isBeforeSwitch,
  MeterId,
  membershipOf,
  meter,
  type NetworkState,
  type Placement,
  type Rule,
  type StateChange,
} from '../../controller/index.ts';
import { parseOwner, portOwner, switchOwner } from './owners.ts';
import { signRules } from './signs.ts';

/** Frames a second of guests that are landing which a switch shows, and at once: far more than are needed for one sign each. */
const SIGN_RATE = { rate: 2_000, burst: 2_000 };

const NOTHING: Placement = new Map();
const one = (dpid: Dpid, rules: readonly Rule[]): Placement => new Map([[dpid, rules]]);

/** State in, rules out that notice guests at the places that they move to. */
export const mobilityCompiler: Compiler<NetworkState, StateChange> = {
  name: 'mobility',

  *affected(change, state) {
    const membership = membershipOf(state);
    const effect = membership.effectOf(change);
    const before = change.kind === 'port' ? change.before : undefined;
    for (const key of effect.ports) {
      const gone = before && `${before.tenant}/${before.id}` === key ? before : undefined;
      const port = state.desired.ports.get(key) ?? gone;
      if (port && (port.migration ?? gone?.migration)) yield portOwner(port);
    }
    for (const dpid of effect.switches) {
      const index = change.kind === 'switch' ? change.before?.index : undefined;
      yield switchOwner(dpid, membership.indexOf(dpid) || (index ?? 0));
    }
  },

  *owners(state) {
    for (const port of state.desired.ports.values()) if (isBeforeSwitch(port)) yield portOwner(port);
    for (const { dpid, index } of state.observed.switches.values()) yield switchOwner(dpid, index);
  },

  compile(owner, state) {
    const membership = membershipOf(state);
    const named = parseOwner(owner);
    if ('dpid' in named) {
      const rules = [meter({ id: MeterId.move, unit: 'pktps', ...SIGN_RATE })];
      return membership.claimedOn(named.dpid) === 0 ? NOTHING : one(named.dpid, rules);
    }
    const port = state.desired.ports.get(named.port);
    const place = port && isBeforeSwitch(port) && port.mac !== 'learned' ? membership.otherPlaceOf(port) : undefined;
    if (!place) return NOTHING;
    const rules = signRules(port!, place);
    return rules.length === 0 ? NOTHING : one(place.dpid, rules);
  },
};
