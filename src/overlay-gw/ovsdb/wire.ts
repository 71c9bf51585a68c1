import { OvsdbError } from './errors.ts';
import { JsonStream } from './json-stream.ts';

/** OVSDB for the wire tool: a file holds JSON documents as they go over a connection, one after another without delimiters. */
export const ovsdbProtocol = {
  name: 'ovsdb',
  decode(bytes: Buffer, expired: () => boolean) {
    const messages: string[] = [];
    const stream = new JsonStream();
    const problems: { code: string; message: string; structure: string; field: string; offset: number }[] = [];
    const step = 64 * 1024;
    for (let at = 0; at < bytes.length && problems.length === 0; at += step) {
      try {
        if (expired()) throw new OvsdbError('malformed', 'takes too long; cut the file into pieces');
        stream.push(bytes.subarray(at, at + step), (document) => messages.push(JSON.stringify(document)));
      } catch (error) {
        if (!(error instanceof OvsdbError)) throw error;
        problems.push({
          code: error.code,
          message: error.message,
          structure: 'json-rpc',
          field: 'document',
          // Of the document at fault: JSON tells no better place.
          offset: stream.consumed,
        });
      }
    }
    return {
      messages,
      bytes: stream.consumed,
      reencoded: Buffer.from(messages.join('')).toString('hex'),
      needMore: problems.length === 0 && stream.pending > 0,
      problems,
      fatal: problems.length > 0,
    };
  },
};
