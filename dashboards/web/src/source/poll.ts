import type { Engine } from '../data/engine';
import type { Series } from '../data/store';
import { ask } from './access';
import type { Feed, FeedEvents } from './feed';
import { eachSample, labelsOf } from './openmetrics';

const PERIOD_MS = 1_000;
const TIMEOUT_MS = 5_000;
/** So many failures in a row mean that the daemon was away. */
const FAILURES_AWAY = 2;
/** The daemon's clock is believed while it differs from the browser's by less than this. */
const CLOCK_SKEW_MS = 5_000;
/** How long an unchanged `node_time_seconds` means "nothing new" rather than "collector stopped". */
const SAME_TICK_MS = 2_500;

/** Samples read from `/metrics` once a second: works when nothing else of the daemon does. */
export class MetricsPoll implements Feed {
  private series = new Map<string, Series | undefined>();
  private timer = 0;
  private abort: AbortController | undefined;
  private last = 0;
  private failures = 0;
  private readonly wanted: Set<string>;

  constructor(
    private readonly engine: Engine,
    private readonly events: FeedEvents,
  ) {
    this.wanted = new Set(engine.watches.flatMap((w) => [...w.metrics]));
  }

  start(): void {
    this.stop();
    const abort = new AbortController();
    this.abort = abort;
    const round = async (): Promise<void> => {
      const started = performance.now();
      await this.poll(abort.signal).catch(() => (this.failures += 1));
      if (abort.signal.aborted) return;
      this.timer = window.setTimeout(round, Math.max(100, PERIOD_MS - (performance.now() - started)));
    };
    void round();
  }

  stop(): void {
    window.clearTimeout(this.timer);
    this.abort?.abort();
    this.abort = undefined;
  }

  private async poll(signal: AbortSignal): Promise<void> {
    const response = await ask('metrics', {
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      headers: { accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5' },
    });
    this.ingest(await response.text(), Date.now());
  }

  /** Takes one body of `/metrics` that was read at `now`. */
  ingest(body: string, now: number): void {
    const seen = new Map<string, Series | undefined>();
    const found: [Series, number][] = [];
    let daemon = NaN;
    eachSample(body, (text, value) => {
      const series = this.series.has(text) ? this.series.get(text) : this.add(text);
      seen.set(text, series);
      if (!series) return;
      found.push([series, value]);
      if (series.metric === 'node_time_seconds') daemon = Math.round(value * 1000);
    });
    for (const [text, series] of this.series) {
      if (series && !seen.has(text)) this.engine.store.remove(series);
    }
    this.series = seen;
    this.events.alive(this.failures >= FAILURES_AWAY);
    this.failures = 0;
    const ts = this.timestamp(daemon, now);
    if (ts === undefined) return;
    const touched = new Set<string>();
    for (const [series, value] of found) {
      series.push(ts, value);
      touched.add(series.metric);
    }
    if (touched.size) this.engine.tick(ts, touched);
  }

  private add(text: string): Series | undefined {
    const labels = labelsOf(text);
    return this.wanted.has(labels['__name__'] ?? '') ? this.engine.store.add(labels) : undefined;
  }

  /** The time of the daemon's tick where it tells it: two polls of one tick are one sample. */
  private timestamp(daemon: number, now: number): number | undefined {
    let ts = Math.abs(daemon - now) < CLOCK_SKEW_MS ? daemon : now;
    if (ts <= this.last) {
      if (now - this.last < SAME_TICK_MS) return undefined;
      ts = now;
    }
    this.last = ts;
    return ts;
  }
}
