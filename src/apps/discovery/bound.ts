import { bindingsOf, type Dpid, type NetworkState, type StateChange } from '../../controller/index.ts';

/** Which ports of a switch tenants have claimed, by number or name, looked up once until a claim changes. */
export class BoundPorts {
  readonly #state: NetworkState;
  readonly #refs = new Map<Dpid, ReadonlySet<string | number>>();

  constructor(state: NetworkState) {
    this.#state = state;
  }

  /** Switches whose claims this change may have touched. */
  changed(change: StateChange): ReadonlySet<Dpid> {
    const touched = new Set<Dpid>();
    if (change.kind !== 'port') return touched;
    for (const port of [change.before, change.after]) {
      for (const binding of port ? bindingsOf(port) : []) if ('switch' in binding) touched.add(binding.switch);
    }
    for (const dpid of touched) this.#refs.delete(dpid);
    return touched;
  }

  forget(dpid: Dpid): void {
    this.#refs.delete(dpid);
  }

  has(dpid: Dpid, no: number): boolean {
    let refs = this.#refs.get(dpid);
    if (!refs) {
      const claimed = new Set<string | number>();
      for (const port of this.#state.desired.portsBoundTo(dpid)) {
        for (const binding of bindingsOf(port)) {
          if ('switch' in binding && binding.switch === dpid) claimed.add(binding.port);
        }
      }
      refs = claimed;
      this.#refs.set(dpid, refs);
    }
    if (refs.size === 0) return false;
    if (refs.has(no)) return true;
    const name = this.#state.observed.switches.get(dpid)?.ports.get(no)?.name;
    return name !== undefined && refs.has(name) && this.#state.observed.resolvePort(dpid, name)?.no === no;
  }
}
