/** The answer of one REST call. */
export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  readonly body: any;
  readonly headers: Headers;
}

/** Calls the REST API of a controller. */
export abstract class RestClient {
  /** HOST:PORT */
  abstract get http(): string;

  /** One REST call; a body that is not JSON comes as text. */
  async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const response = await fetch(`http://${this.http}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = /json/.test(response.headers.get('content-type') ?? '') && text !== '';
    return { status: response.status, body: json ? JSON.parse(text) : text, headers: response.headers };
  }

  /** Like `call`, and throws unless the status is 2xx. Returns the body. */
  async ok(method: string, path: string, body?: unknown): Promise<Answer['body']> {
    const answer = await this.call(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** Asks again, each 50 ms, until the body fits; rejects with the last body after `timeoutMs`. */
  async until(path: string, fits: (body: Answer['body']) => boolean, timeoutMs = 15_000): Promise<Answer['body']> {
    return this.poll(async () => (await this.call('GET', path)).body, fits, path, timeoutMs);
  }

  /** Looks again, each 50 ms, until what is seen fits; rejects with what was seen last after `timeoutMs`. */
  async poll<T>(look: () => Promise<T>, fits: (seen: T) => boolean, what: string, timeoutMs = 15_000): Promise<T> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const seen = await look();
      if (fits(seen)) return seen;
      if (Date.now() > deadline) throw new Error(`${what} is not as awaited: ${JSON.stringify(seen).slice(0, 4000)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Sum of a metric's series whose labels contain `label`; throws when there is no such metric at all. */
  async sum(metric: string, label = ''): Promise<number> {
    const { body } = await this.call('GET', '/metrics');
    const text = body as string;
    if (!text.includes(`# TYPE ${metric} `)) throw new Error(`the controller has no metric ${metric}`);
    const series = text
      .split('\n')
      .filter((line) => line.startsWith(metric) && /^[{ ]/.test(line.slice(metric.length)));
    return series
      .filter((line) => line.includes(label))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }
}
