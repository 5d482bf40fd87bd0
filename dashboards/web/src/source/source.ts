import { signal } from '@preact/signals';
import { backfill, mend } from '../data/backfill';
import type { Engine } from '../data/engine';
import { access } from './access';
import type { Feed } from './feed';
import { ownSeries } from './own';
import { MetricsPoll } from './poll';
import { LiveStream } from './stream';
import { StreamTurn } from './tabs';

export type SourceName = 'stream' | 'metrics';

/** After this long without a sample the page says Idle. */
const IDLE_AFTER_MS = 4_000;
/** Clocks that differ by more than this have their history asked for again. */
const MAX_SKEW_MS = 5_000;
/** How soon a page that fell back to `/metrics` tries the stream again; each failure doubles it. */
const RETRY_STREAM_MS = 30_000;
const RETRY_STREAM_MAX_MS = 600_000;
/** When the live samples have come far enough to show what lies between them and the past. */
const MEND_AFTER_MS = 3_000;
const OTHER_TABS = 'other tabs stream';

/** Where samples come from, and whether they come. */
export class SourceControl {
  readonly name = signal<SourceName>('stream');
  readonly reason = signal('');
  readonly live = signal(false);
  readonly paused = signal(false);
  /** Whether `?source=metrics` forbids everything but the assets and `/metrics`. */
  readonly forced = new URLSearchParams(location.search).get('source') === 'metrics';
  /** When a sample last came, by the browser's monotonic clock. */
  lastAlive = performance.now();
  private feed: Feed | undefined;
  private work: AbortController | undefined;
  private history: AbortController | undefined;
  private historySkew = 0;
  private retryAt = Infinity;
  private retryAfter = RETRY_STREAM_MS;
  private readonly turn = new StreamTurn(() => this.fallBack(OTHER_TABS));
  private readonly events = {
    alive: (back: boolean): void => this.alive(back),
    failed: (reason: string): void => this.fallBack(reason),
    resync: (): void => void this.refill(),
  };

  constructor(private readonly engine: Engine) {}

  begin(): void {
    this.start();
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) this.stop();
      else this.start();
    });
    access.subscribe((state) => {
      if (state === 'open') this.start();
      else this.stop();
    });
    window.setInterval(() => this.check(), 1_000);
  }

  togglePause(): void {
    this.paused.value = !this.paused.value;
    if (this.paused.value) this.stop();
    else this.start();
  }

  private start(): void {
    if (this.paused.value || document.hidden || this.work || access.value !== 'open') return;
    this.work = new AbortController();
    this.lastAlive = performance.now();
    if (this.forced) this.use('metrics', 'asked for in the address');
    else void this.open(this.work.signal);
  }

  /** Learns which series are the machine's own, then follows them and asks for their past. */
  private async open(stopped: AbortSignal): Promise<void> {
    this.engine.own = await ownSeries(stopped).catch(() => this.engine.own);
    if (stopped.aborted) return;
    this.turn.claim();
    this.use('stream', '');
    void this.refill();
  }

  private stop(): void {
    this.work?.abort();
    this.work = undefined;
    this.feed?.stop();
    this.feed = undefined;
    this.history?.abort();
    this.turn.release();
    this.retryAt = Infinity;
    this.live.value = false;
  }

  private use(name: SourceName, reason: string): void {
    if (this.feed && this.name.value === name) return;
    this.feed?.stop();
    this.engine.store.clear();
    this.name.value = name;
    this.reason.value = reason;
    this.feed =
      name === 'stream'
        ? new LiveStream(this.engine, this.events)
        : new MetricsPoll(this.engine, this.events);
    this.feed.start();
  }

  private fallBack(reason: string): void {
    this.turn.release();
    this.use('metrics', reason);
    this.retryAt = performance.now() + this.retryAfter;
    this.retryAfter = Math.min(this.retryAfter * 2, RETRY_STREAM_MAX_MS);
  }

  private alive(back: boolean): void {
    this.lastAlive = performance.now();
    this.live.value = true;
    if (this.name.value === 'stream') {
      this.retryAfter = RETRY_STREAM_MS;
      // The past was asked for by the browser's clock before the daemon's was known.
      if (this.history && Math.abs(this.engine.skew - this.historySkew) > MAX_SKEW_MS) void this.refill();
    } else if (back && this.retryAt < Infinity) {
      // The daemon was away as a whole and is back: its stream is, too.
      this.retryAt = 0;
    }
  }

  private check(): void {
    if (performance.now() - this.lastAlive > IDLE_AFTER_MS) this.live.value = false;
    if (performance.now() < this.retryAt || !this.work) return;
    // A tab that nobody looks at does not take its turn back from the others.
    if (this.reason.value === OTHER_TABS && !document.hasFocus()) return;
    this.retryAt = Infinity;
    void this.open(this.work.signal);
  }

  /** Fills the charts from the ring; a daemon without history leaves them to grow by themselves. */
  private async refill(): Promise<void> {
    this.history?.abort();
    const { signal: stopped } = (this.history = new AbortController());
    this.historySkew = this.engine.skew;
    try {
      const end = await backfill(this.engine, stopped);
      await new Promise((next) => window.setTimeout(next, MEND_AFTER_MS));
      if (!stopped.aborted) await mend(this.engine, end, stopped);
    } catch {
      /* no history: the charts grow by themselves */
    }
  }
}
