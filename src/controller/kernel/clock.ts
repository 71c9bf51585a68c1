/** Time as a part that is handed in, so that tests decide when it passes. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Monotonic milliseconds, for measuring spans. */
  monotonic(): number;
  /** Calls `fn` once after `ms`; the function returned cancels. Never keeps the process alive. */
  after(ms: number, fn: () => void): () => void;
  /** Calls `fn` each `ms`; the function returned cancels. Never keeps the process alive. */
  every(ms: number, fn: () => void): () => void;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
  every(ms, fn) {
    const timer = setInterval(fn, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};
