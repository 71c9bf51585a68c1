import { Duplex } from 'node:stream';
import { JsonStream } from '../../src/overlay-gw/ovsdb/index.ts';

interface Call {
  readonly method: string;
  readonly params: readonly unknown[];
  readonly id: unknown;
}

/** One end of a connection whose other end is the test, as a database server: what is said is heard before `say` returns. */
export class OvsdbLine extends Duplex {
  /** Requests and notifications, as they came. */
  readonly calls: Call[] = [];
  /** Answers of the client. */
  readonly answers: unknown[] = [];
  readonly #json = new JsonStream();
  readonly #answer: (call: Call, line: OvsdbLine) => unknown;

  /** `answer` gives the result of a request; undefined: none is sent; an `Error`: refused with its message. */
  constructor(answer: (call: Call, line: OvsdbLine) => unknown) {
    super();
    this.#answer = answer;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#json.push(chunk, (document) => {
      const call = document as Call;
      if (call.method === undefined) {
        this.answers.push(document);
        return;
      }
      this.calls.push(call);
      const result = this.#answer(call, this);
      if (result instanceof Error) this.say({ result: null, error: { error: result.message }, id: call.id });
      else if (result !== undefined) this.say({ result, error: null, id: call.id });
    });
    done();
  }

  /** Sends documents in one piece. */
  say(...documents: readonly unknown[]): void {
    this.bytes(Buffer.from(documents.map((each) => JSON.stringify(each)).join('')));
  }

  bytes(chunk: Buffer): void {
    if (!this.destroyed) this.emit('data', chunk);
  }
}

/** All that is under way by promises has been done. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
