import type { Engine } from '../data/engine';
import type { Series } from '../data/store';
import type { Labels } from '../promql/eval';
import { access, ask } from './access';
import type { Feed, FeedEvents } from './feed';
import { messages, type Message } from './sse';

interface Membership {
  series: { id: number; labels: Labels }[];
}

interface Tick {
  ts: number;
  values: [number, number | null][];
}

/** The stream counts as failed when it has not opened after this long. */
const OPEN_TIMEOUT_MS = 4_000;
/** Attempts in a row without a message before the page looks for another source. */
const MAX_ERRORS = 3;
const AGAIN_MS = 1_000;

/** Samples as server-sent events, one stream for the whole page. */
export class LiveStream implements Feed {
  private abort: AbortController | undefined;
  private readonly series = new Map<number, Series>();
  private errors = 0;
  private lastId = '';

  constructor(
    private readonly engine: Engine,
    private readonly events: FeedEvents,
    private hz: number,
  ) {}

  /** Wishes so many samples a second from now on. */
  wish(hz: number): void {
    if (hz === this.hz) return;
    this.hz = hz;
    // It is another stream, not this one broken: nothing was lost that history would have to fill.
    this.lastId = '';
    if (this.abort) this.start();
  }

  start(): void {
    this.stop();
    this.abort = new AbortController();
    void this.run(this.abort.signal);
  }

  stop(): void {
    this.abort?.abort();
    this.abort = undefined;
  }

  /** Follows the stream and opens it again, until it is stopped or has failed too often. */
  private async run(stopped: AbortSignal): Promise<void> {
    this.errors = 0;
    while (!stopped.aborted) {
      await this.follow(stopped).catch(() => undefined);
      if (stopped.aborted || access.value !== 'open') return;
      this.errors += 1;
      if (this.errors >= MAX_ERRORS) {
        this.stop();
        this.events.failed('no live stream');
        return;
      }
      await new Promise((next) => window.setTimeout(next, AGAIN_MS));
    }
  }

  private async follow(stopped: AbortSignal): Promise<void> {
    const parameters = new URLSearchParams(this.engine.matches().map((m) => ['match[]', m]));
    if (this.hz > 1) parameters.set('hz', String(this.hz));
    const slow = new AbortController();
    const timer = window.setTimeout(() => slow.abort(), OPEN_TIMEOUT_MS);
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    // The daemon then knows that ticks were lost in between.
    if (this.lastId) headers['last-event-id'] = this.lastId;
    const response = await ask(`api/watchfire/v1/live?${parameters}`, {
      headers,
      cache: 'no-store',
      signal: AbortSignal.any([stopped, slow.signal]),
    }).finally(() => window.clearTimeout(timer));
    for await (const message of messages(response)) this.take(message);
  }

  private take({ event, data, id }: Message): void {
    if (id) this.lastId = id;
    if (event === 'series') this.membership(JSON.parse(data) as Membership);
    else if (event === 'tick' || event === 'fast') this.tick(JSON.parse(data) as Tick, event === 'fast');
    else if (event === 'resync') this.events.resync();
  }

  private membership({ series }: Membership): void {
    const wanted = new Set(series.map((s) => s.id));
    for (const [id, known] of this.series) {
      if (!wanted.has(id)) {
        this.engine.store.remove(known);
        this.series.delete(id);
      }
    }
    for (const { id, labels } of series) {
      if (!this.series.has(id)) this.series.set(id, this.engine.store.add(labels));
    }
  }

  private tick({ ts, values }: Tick, fast: boolean): void {
    this.errors = 0;
    const touched = new Set<string>();
    for (const [id, value] of values) {
      const series = this.series.get(id);
      if (!series || value === null) continue;
      series.push(ts, value);
      touched.add(series.metric);
    }
    this.events.alive(false);
    if (touched.size) this.engine.tick(ts, touched, fast);
  }
}
