import { signal } from '@preact/signals';
import { backfill, follow, mend } from '../data/backfill';
import type { Engine } from '../data/engine';
import { access } from './access';
import { FrameReport } from './frames';
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
/** What the live view asks for. */
const CLOSE_HZ = 10;
/** Without a sample between two ticks for this long, the pace is the ring's. */
const FAST_WITHIN_MS = 2_500;
const OTHER_TABS = 'other tabs stream';

/** Where samples come from, and whether they come. */
export class SourceControl {
  readonly name = signal<SourceName>('stream');
  readonly reason = signal('');
  readonly live = signal(false);
  readonly paused = signal(false);
  /** Samples a second that come of what can be sampled so fast. */
  readonly hertz = signal(1);
  private hz = 1;
  private fastTicks = 0;
  private fastAt = -Infinity;
  private readonly frames = new FrameReport();
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

  /** Whether the live view is looked at: samples come faster then. */
  look(close: boolean): void {
    this.hz = close ? CLOSE_HZ : 1;
    this.engine.look(close);
    if (this.feed instanceof LiveStream) this.feed.wish(this.hz);
    this.pace();
  }

  /** Says how fast samples come, and measures frames while they come fast. */
  private pace(): void {
    if (this.engine.fastTicks !== this.fastTicks) this.fastAt = performance.now();
    this.fastTicks = this.engine.fastTicks;
    const fast = this.hz > 1 && this.feed instanceof LiveStream && performance.now() - this.fastAt < FAST_WITHIN_MS;
    this.hertz.value = fast ? this.hz : 1;
    if (fast) this.frames.start();
    else this.frames.stop();
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
    this.pace();
  }

  private use(name: SourceName, reason: string): void {
    if (this.feed && this.name.value === name) return;
    this.feed?.stop();
    this.engine.restart();
    this.name.value = name;
    this.reason.value = reason;
    this.feed =
      name === 'stream'
        ? new LiveStream(this.engine, this.events, this.hz)
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
    this.pace();
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
      await follow(this.engine, stopped);
    } catch {
      this.engine.hasHistory = stopped.aborted && this.engine.hasHistory;
      /* no history: the charts grow by themselves */
    }
  }
}
