import type { Engine } from '../data/engine';
import type { Series } from '../data/store';
import type { Labels } from '../promql/eval';
import type { Feed, FeedEvents } from './feed';

interface Membership {
  series: { id: number; labels: Labels }[];
}

interface Tick {
  ts: number;
  values: [number, number | null][];
}

/** The stream counts as failed when it has not opened after this long. */
const OPEN_TIMEOUT_MS = 4_000;
/** Reconnections in a row without a message before the page looks for another source. */
const MAX_ERRORS = 3;

/** Samples as server-sent events, one stream for the whole page. */
export class LiveStream implements Feed {
  private source: EventSource | undefined;
  private readonly series = new Map<number, Series>();
  private timer = 0;
  private errors = 0;

  constructor(
    private readonly engine: Engine,
    private readonly events: FeedEvents,
  ) {}

  start(): void {
    this.stop();
    const parameters = new URLSearchParams(this.engine.matches().map((m) => ['match[]', m]));
    const source = new EventSource(`api/watchfire/v1/live?${parameters}`);
    this.source = source;
    this.timer = window.setTimeout(() => {
      if (source.readyState === EventSource.CONNECTING) this.give('the live stream did not open');
    }, OPEN_TIMEOUT_MS);
    source.addEventListener('series', (e) => this.membership(JSON.parse(e.data) as Membership));
    source.addEventListener('tick', (e) => this.tick(JSON.parse(e.data) as Tick));
    source.addEventListener('resync', () => this.events.resync());
    source.addEventListener('error', () => {
      this.errors += 1;
      const closed = source.readyState === EventSource.CLOSED;
      if (closed || this.errors >= MAX_ERRORS) this.give('the live stream is not available');
    });
  }

  stop(): void {
    window.clearTimeout(this.timer);
    this.source?.close();
    this.source = undefined;
    this.errors = 0;
  }

  private give(reason: string): void {
    this.stop();
    this.events.failed(reason);
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

  private tick({ ts, values }: Tick): void {
    this.errors = 0;
    const touched = new Set<string>();
    for (const [id, value] of values) {
      const series = this.series.get(id);
      if (!series || value === null) continue;
      series.push(ts, value);
      touched.add(series.metric);
    }
    this.events.alive();
    if (touched.size) this.engine.tick(ts, touched);
  }
}
