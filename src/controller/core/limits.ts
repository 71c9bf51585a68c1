/** Rates that hold where nobody configured others. */
export const DefaultRate = {
  /** Packets per second that one tenant may show to the controller from one switch. */
  tenantPunt: 2_000,
  /** Packets per second that the default network may show to the controller from one switch. */
  learnPunt: 5_000,
} as const;
