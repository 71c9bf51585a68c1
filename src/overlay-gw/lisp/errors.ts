import { NetloomError } from '../../controller/kernel/index.ts';

/** A LISP message that is none: which structure and field, and the byte where it went wrong. */
export class LispError extends NetloomError {
  readonly code = 'NL_LISP';
  readonly structure: string;
  readonly field: string;
  readonly offset: number;

  constructor(structure: string, field: string, offset: number, what: string) {
    super(`${structure}.${field}: ${what} at byte ${offset}`, { structure, field, offset });
    this.structure = structure;
    this.field = field;
    this.offset = offset;
  }
}
