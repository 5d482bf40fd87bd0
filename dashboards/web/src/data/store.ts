import type { Matcher, Selector } from '../promql/ast';
import type { Labels, Sample, Source } from '../promql/eval';

/** A series whose last sample is older than this many of its own intervals no longer counts. */
const FRESH_INTERVALS = 3.5;
const FRESH_MIN_MS = 3_500;
const FRESH_MAX_MS = 90_000;
/** Raw samples are kept this long: the longest range that a panel uses. */
const KEEP_MS = 65_000;

/** One raw series as it comes from the daemon, with its last minute of samples. */
class Series {
  readonly times: number[] = [];
  readonly values: number[] = [];
  private start = 0;

  constructor(
    readonly metric: string,
    readonly labels: Labels,
  ) {}

  push(time: number, value: number): void {
    const last = this.times.length - 1;
    if (last >= this.start && time <= (this.times[last] as number)) return;
    this.times.push(time);
    this.values.push(value);
    while ((this.times[this.start] as number) < time - KEEP_MS) this.start += 1;
    if (this.start > 256) {
      this.times.splice(0, this.start);
      this.values.splice(0, this.start);
      this.start = 0;
    }
  }

  fresh(now: number): boolean {
    const last = this.times.length - 1;
    if (last < this.start) return false;
    const time = this.times[last] as number;
    const interval = last > this.start ? time - (this.times[last - 1] as number) : 0;
    const limit = Math.min(Math.max(FRESH_MIN_MS, interval * FRESH_INTERVALS), FRESH_MAX_MS);
    return now - time <= limit;
  }

  last(): number {
    return this.values[this.values.length - 1] as number;
  }

  /** Per-second increase over the range; a slower series is taken over its last two samples. */
  rate(rangeMs: number, now: number): number | undefined {
    const end = this.times.length - 1;
    let first = end;
    while (first > this.start && (this.times[first - 1] as number) > now - rangeMs) first -= 1;
    if (first === end) first = end - 1;
    if (first < this.start) return undefined;
    let increase = 0;
    for (let i = first + 1; i <= end; i += 1) {
      const before = this.values[i - 1] as number;
      const after = this.values[i] as number;
      // A counter that fell was reset: what it shows now came since then.
      increase += after >= before ? after - before : after;
    }
    const seconds = ((this.times[end] as number) - (this.times[first] as number)) / 1000;
    return seconds > 0 ? increase / seconds : undefined;
  }
}

/** The live samples of the last minute, by series. */
export class SeriesStore implements Source {
  private readonly byMetric = new Map<string, Set<Series>>();
  private readonly selected = new Map<Selector, Series[]>();
  /** Ranges are cut to this: the live view wants rates of the newest moment. */
  longestMs = Infinity;

  get size(): number {
    let sum = 0;
    for (const set of this.byMetric.values()) sum += set.size;
    return sum;
  }

  /** The labels of a metric's series. */
  labels(metric: string): Labels[] {
    return [...(this.byMetric.get(metric) ?? [])].map((s) => s.labels);
  }

  /** Adds a series; the caller keeps what comes back and pushes samples into it. */
  add(all: Labels): Series {
    const { __name__: metric = '', ...labels } = all;
    const series = new Series(metric, labels);
    const set = this.byMetric.get(metric) ?? new Set();
    this.byMetric.set(metric, set.add(series));
    this.selected.clear();
    return series;
  }

  remove(series: Series): void {
    this.byMetric.get(series.metric)?.delete(series);
    this.selected.clear();
  }

  clear(): void {
    this.byMetric.clear();
    this.selected.clear();
  }

  instant(selector: Selector, now: number): Sample[] {
    return this.select(selector)
      .filter((s) => s.fresh(now))
      .map((s) => ({ labels: s.labels, value: s.last() }));
  }

  rate(selector: Selector, now: number): Sample[] {
    const samples: Sample[] = [];
    for (const series of this.select(selector)) {
      const value = series.fresh(now) ? series.rate(Math.min(selector.rangeMs, this.longestMs), now) : undefined;
      if (value !== undefined) samples.push({ labels: series.labels, value });
    }
    return samples;
  }

  private select(selector: Selector): Series[] {
    const known = this.selected.get(selector);
    if (known) return known;
    const tests = selector.matchers.map(matcher);
    const found = [...(this.byMetric.get(selector.metric) ?? [])].filter((s) =>
      tests.every((test) => test(s.labels)),
    );
    this.selected.set(selector, found);
    return found;
  }
}

export type { Series };

function matcher({ name, op, value }: Matcher): (labels: Labels) => boolean {
  const negative = op.startsWith('!');
  if (op === '=' || op === '!=') return (labels) => ((labels[name] ?? '') === value) !== negative;
  const pattern = new RegExp(`^(?:${value})$`, 's');
  return (labels) => pattern.test(labels[name] ?? '') !== negative;
}
