import { signal } from '@preact/signals';
import { backfill } from '../data/backfill';
import type { Engine } from '../data/engine';
import type { Feed } from './feed';
import { MetricsPoll } from './poll';
import { LiveStream } from './stream';
import { StreamTurn } from './tabs';

export type SourceName = 'stream' | 'metrics';

/** After this long without a sample the page says Idle. */
const IDLE_AFTER_MS = 4_000;
/** Clocks that differ by more than this have their history asked for again. */
const MAX_SKEW_MS = 5_000;
/** How often a page that fell back to `/metrics` tries the stream again. */
const RETRY_STREAM_MS = 30_000;

/** Where samples come from, and whether they come. */
export class SourceControl {
  readonly name = signal<SourceName>('stream');
  readonly reason = signal('');
  readonly live = signal(false);
  readonly paused = signal(false);
  /** Whether `?source=metrics` forbids everything but the assets and `/metrics`. */
  readonly forced = new URLSearchParams(location.search).get('source') === 'metrics';
  private feed: Feed | undefined;
  private history: AbortController | undefined;
  private historySkew = 0;
  private lastAlive = 0;
  private retryAt = Infinity;
  private readonly turn = new StreamTurn(() =>
    this.fallBack('other tabs of this browser use the stream'),
  );
  private readonly events = {
    alive: (): void => {
      this.lastAlive = performance.now();
      this.live.value = true;
      // The past was asked for by the browser's clock before the daemon's was known.
      if (this.history && Math.abs(this.engine.skew - this.historySkew) > MAX_SKEW_MS) void this.refill();
    },
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
    window.setInterval(() => this.check(), 1_000);
  }

  togglePause(): void {
    this.paused.value = !this.paused.value;
    if (this.paused.value) this.stop();
    else this.start();
  }

  private start(): void {
    if (this.paused.value || document.hidden) return;
    if (this.forced) {
      this.use('metrics', 'asked for by ?source=metrics');
      return;
    }
    this.turn.claim();
    this.use('stream', '');
    void this.refill();
  }

  private stop(): void {
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
    this.retryAt = performance.now() + RETRY_STREAM_MS;
  }

  private check(): void {
    if (performance.now() - this.lastAlive > IDLE_AFTER_MS) this.live.value = false;
    if (performance.now() < this.retryAt || !document.hasFocus()) return;
    this.retryAt = Infinity;
    this.turn.claim();
    this.use('stream', '');
  }

  /** Fills the charts from the ring; a daemon without history leaves them to grow by themselves. */
  private async refill(): Promise<void> {
    this.history?.abort();
    this.history = new AbortController();
    this.historySkew = this.engine.skew;
    await backfill(this.engine, this.history.signal).catch(() => undefined);
  }
}
