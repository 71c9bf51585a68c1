/** Called when a listener throws: the bus goes on with the others. */
export type ListenerFailure = (event: string, listener: string, error: unknown) => void;

/**
 * Synchronous typed event bus. Listeners run in the order they were added; one that throws is reported by name through
 * `onFailure` and costs no other listener the event.
 */
export class Bus<Events extends object> {
  readonly #listeners = new Map<keyof Events, { name: string; fn: (event: never) => void }[]>();
  readonly #onFailure: ListenerFailure;

  constructor(onFailure: ListenerFailure) {
    this.#onFailure = onFailure;
  }

  /** Adds a listener under a name (used in failure reports); the function returned removes it. */
  on<K extends keyof Events>(event: K, name: string, fn: (event: Events[K]) => void): () => void {
    const entry = { name, fn: fn as (event: never) => void };
    // A new array per change: emit may be iterating the old one.
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), entry]);
    return () => {
      this.#listeners.set(
        event,
        (this.#listeners.get(event) ?? []).filter((other) => other !== entry),
      );
    };
  }

  /** Hands the event to every listener before returning. */
  emit<K extends keyof Events>(event: K, value: Events[K]): void {
    const listeners = this.#listeners.get(event);
    if (!listeners) return;
    for (const { name, fn } of listeners) {
      try {
        (fn as (event: Events[K]) => void)(value);
      } catch (error) {
        this.#onFailure(String(event), name, error);
      }
    }
  }
}
