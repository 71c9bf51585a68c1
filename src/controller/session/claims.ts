import type { Dpid } from '../kernel/index.ts';
import type { SessionAlarm } from './types.ts';

/** A connection that says it is a certain switch. */
export interface Claimant {
  readonly remote: string;
  /** Sends an echo request; `answered` is called when that very request is answered, not for other bytes that still arrive. */
  probe(answered: () => void): void;
  /** The datapath id is this connection's. */
  granted(): void;
  /** The holder lives: this connection is to be closed. */
  refused(): void;
  /** Another connection takes the datapath id over: this one is to be closed. */
  evicted(): void;
}

interface Claim<C> {
  holder: C;
  challenger: C | undefined;
  deadline: number;
  refused: number;
  alarmAt: number;
}

/**
 * Who may be which datapath id. A second claimant makes us ask the first for a sign of life. A live switch cannot be thrown
 * out, a dead one locks nobody out, and nobody waits longer than the probe.
 */
export class DpidClaims<C extends Claimant = Claimant> {
  readonly #claims = new Map<Dpid, Claim<C>>();
  readonly #contested = new Set<Dpid>();
  readonly #probeMs: number;
  readonly #alarmEveryMs: number;
  readonly #now: () => number;
  readonly #alarm: (alarm: SessionAlarm) => void;

  /** `alarm` is called at the first refusal, and at most every `alarmEveryMs` per holder after that. */
  constructor(parts: {
    readonly probeMs: number;
    readonly alarmEveryMs: number;
    now(): number;
    alarm(alarm: SessionAlarm): void;
  }) {
    this.#probeMs = parts.probeMs;
    this.#alarmEveryMs = parts.alarmEveryMs;
    this.#now = () => parts.now();
    this.#alarm = (alarm) => parts.alarm(alarm);
  }

  /** Datapath ids that are held. */
  get size(): number {
    return this.#claims.size;
  }

  /** Who is this datapath id. */
  holder(dpid: Dpid): C | undefined {
    return this.#claims.get(dpid)?.holder;
  }

  /** Leads to `granted` or `refused` of the claimant: at once, or when the holder's probe has ended. */
  claim(dpid: Dpid, who: C): void {
    const claim = this.#claims.get(dpid);
    if (claim === undefined) {
      this.#claims.set(dpid, { holder: who, challenger: undefined, deadline: 0, refused: 0, alarmAt: -1 });
      who.granted();
      return;
    }
    if (claim.challenger !== undefined) {
      this.#refuse(dpid, claim, who);
      return;
    }
    claim.challenger = who;
    claim.deadline = this.#now() + this.#probeMs;
    this.#contested.add(dpid);
    claim.holder.probe(() => {
      // The answer may come after the challenger left, or after the claim changed hands.
      if (this.#claims.get(dpid) !== claim || claim.challenger !== who) return;
      claim.challenger = undefined;
      this.#contested.delete(dpid);
      this.#refuse(dpid, claim, who);
    });
  }

  /** The connection is gone. A challenger takes over from a holder. */
  release(dpid: Dpid, who: C): void {
    const claim = this.#claims.get(dpid);
    if (claim === undefined) return;
    if (claim.challenger === who) {
      claim.challenger = undefined;
      this.#contested.delete(dpid);
      return;
    }
    if (claim.holder !== who) return;
    this.#contested.delete(dpid);
    const next = claim.challenger;
    this.#claims.delete(dpid);
    if (next !== undefined) this.claim(dpid, next);
  }

  /** Lets challengers take over whose holder did not answer in time. */
  expire(now: number): void {
    for (const dpid of this.#contested) {
      const claim = this.#claims.get(dpid);
      if (claim?.challenger === undefined || now < claim.deadline) continue;
      const holder = claim.holder;
      // Evicting releases the claim, which hands it to the challenger.
      holder.evicted();
    }
  }

  #refuse(dpid: Dpid, claim: Claim<C>, who: C): void {
    claim.refused++;
    const now = this.#now();
    if (claim.alarmAt < 0 || now - claim.alarmAt >= this.#alarmEveryMs) {
      claim.alarmAt = now;
      const { holder, refused } = claim;
      this.#alarm({ kind: 'duplicate-dpid', dpid, holder: holder.remote, claimant: who.remote, refused });
    }
    who.refused();
  }
}
