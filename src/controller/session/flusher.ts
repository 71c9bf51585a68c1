/** A connection with output for its socket, or with input that had to wait. */
export interface Turned {
  flush(): void;
  nextTurn(): void;
}

/**
 * The turns of the event loop, shared by all connections: at the end of a turn each connection that was written to is flushed
 * once, and those that had used up their share of input go on. One immediate per turn, however many connections there are.
 */
export class Flusher {
  #dirty: Turned[] = [];
  #waiting: Turned[] = [];
  #armed = false;
  /** Number of the current turn. */
  turn = 0;

  /** Call once when a connection's output stops being empty. */
  schedule(connection: Turned): void {
    this.#dirty.push(connection);
    this.arm();
  }

  /** Calls `nextTurn` of the connection after this turn. */
  resumeLater(connection: Turned): void {
    this.#waiting.push(connection);
    this.arm();
  }

  /** Makes sure that this turn ends. */
  arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#armed = false;
    this.turn++;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const connection of dirty) connection.flush();
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const connection of waiting) connection.nextTurn();
  };
}
