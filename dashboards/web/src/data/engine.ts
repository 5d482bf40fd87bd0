import { signal, type Signal } from '@preact/signals';
import type { Expr, Matcher } from '../promql/ast';
import { printSelector, selectors } from '../promql/ast';
import { evaluate, key, type Labels, type Sample } from '../promql/eval';
import { parse } from '../promql/parse';
import { Columns, type Cell } from './columns';
import { facts, sections, tiles, type PanelDef, type SectionDef, type TableDef, type TileDef } from './panels';
import { SeriesStore } from './store';

/** A query of a panel, read once. */
export interface Question {
  text: string;
  expr: Expr;
  legend: string;
}

/** What the live view shows: the last minute, at up to ten rows a second. */
export const CLOSE_S = 60;
const CLOSE_STEP_MS = 100;
/** Rates of the live view are over this much. */
const CLOSE_RANGE_MS = 1_000;

/** A longer range than this is left to the ring until the live samples cover it. */
const LONG_MS = 15_000;

/** Something that is asked again whenever a metric that it reads has moved. */
export class Watch {
  readonly data = new Columns();
  /** The rows of the live view, finer than those of `data`; filled while somebody looks at it. */
  readonly fine = new Columns(CLOSE_STEP_MS);
  /** What charts draw: the one or the other. */
  view = this.data;
  /** Counts the live rows; the reactive part of the page looks at this alone. */
  readonly version: Signal<number> = signal(0);
  /** When a value last came in, by the browser's monotonic clock; 0 before the first. */
  lastSeen = 0;
  livePoints = 0;
  readonly metrics: Set<string>;
  /** The longest range that its questions reach back, in milliseconds. */
  readonly reachMs: number;

  constructor(
    readonly id: string,
    readonly questions: Question[],
    /** How many of its questions, from the first, are asked for the past too. */
    readonly history: number,
  ) {
    const read = questions.flatMap((q) => selectors(q.expr));
    this.metrics = new Set(read.map((s) => s.metric));
    this.reachMs = Math.max(0, ...read.map((s) => s.rangeMs));
  }

  /** The newest values of one of its questions. */
  latest(question = 0): { labels: Labels; label: string; value: number }[] {
    return this.data.columns
      .filter((c) => c.query === question)
      .map((c) => ({ labels: c.labels, label: c.label, value: this.data.latest(c) }))
      .filter((c) => !Number.isNaN(c.value));
  }

  /** The newest value of a question whose answer is one number. */
  value(question = 0): number | undefined {
    return this.latest(question)[0]?.value;
  }
}

function ask(text: string, legend = ''): Question {
  return { text, expr: parse(text), legend };
}

/** The words of a legend with the labels of an answer put in. */
export function legendOf(legend: string, labels: Labels): string {
  const text = legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name: string) => labels[name] ?? '');
  return text.trim() || !legend ? text : 'unnamed';
}

/** A sample as the cell of a panel's row. */
export function cellOf(question: Question, index: number, { labels, value }: Sample): Cell {
  const label = legendOf(question.legend, labels);
  return { id: `${index}\u0003${key(labels)}`, query: index, labels, label, value };
}

const ofPanel = (p: PanelDef) =>
  new Watch(p.id, p.series.map((s) => ask(s.query, s.legend)), p.series.length);
const ofTable = (t: TableDef) =>
  new Watch(t.id, t.columns.map((c) => ask(c.query, `{{${t.rows}}}`)), 0);
const ofSection = (s: SectionDef) => [...s.panels.map(ofPanel), ...(s.tables ?? []).map(ofTable)];
const ofTile = (t: TileDef) =>
  new Watch(`tile-${t.id}`, [ask(t.query), ...t.notes.map((n) => ask(n.query))], 1);
const ofFact = ([id, query]: [string, string]) => new Watch(`fact-${id}`, [ask(query)], 0);

/** Turns raw samples into rows of panels. It neither draws nor knows where samples come from. */
export class Engine {
  readonly store = new SeriesStore();
  /** In the order in which their past is fetched: what is seen first comes first. */
  readonly watches: Watch[] = [
    ...sections.slice(0, 1).flatMap(ofSection),
    ...tiles.map(ofTile),
    ...sections.slice(1).flatMap(ofSection),
    ...Object.entries(facts).map(ofFact),
  ];
  /** The newest timestamp of any tick, in milliseconds: the right edge of all charts. */
  now = 0;
  ticks = 0;
  /** Ticks that came between those of the ring. */
  fastTicks = 0;
  /** Tells what shows these in words that they changed: at once, unless the page takes its time over it. */
  announce: (watches: Watch[]) => void = (watches) => {
    for (const watch of watches) watch.version.value += 1;
  };
  /** Whether the live view is looked at. */
  close = false;
  /** Whether the ring answers. */
  hasHistory = false;
  /** Since when the store has been collecting samples without a break, by the browser's monotonic clock. */
  private since = performance.now();
  /** The timestamp of the oldest row of any panel, in seconds. */
  oldest = Infinity;
  /** What narrows a query of the ring to this machine's own series. */
  own: Matcher[] = [];
  /** How far the daemon's clock is ahead of the browser's, in milliseconds. */
  skew = 0;
  private readonly byId = new Map(this.watches.map((w) => [w.id, w]));
  private readonly byMetric = new Map<string, Watch[]>();
  private readonly listeners: ((between: boolean) => void)[] = [];

  constructor() {
    for (const watch of this.watches) {
      for (const metric of watch.metrics) {
        this.byMetric.set(metric, [...(this.byMetric.get(metric) ?? []), watch]);
      }
    }
  }

  watch(id: string): Watch {
    const found = this.byId.get(id);
    if (!found) throw new Error(`no panel is called ${id}`);
    return found;
  }

  /** The listener learns whether the change came between two ticks of the ring. */
  onChange(listener: (between: boolean) => void): void {
    this.listeners.push(listener);
  }

  /** Tells everybody who draws that something changed. */
  changed(between = false): void {
    this.oldest = Infinity;
    for (const { data } of this.watches) if (data.first < this.oldest) this.oldest = data.first;
    for (const listener of this.listeners) listener(between);
  }

  /** What the daemon should stream: one selector for each metric, narrow where all uses agree. */
  matches(): string[] {
    const uses = new Map<string, Set<string>>();
    for (const watch of this.watches) {
      for (const question of watch.questions) {
        for (const selector of selectors(question.expr)) {
          const seen = uses.get(selector.metric) ?? new Set<string>();
          uses.set(selector.metric, seen.add(printSelector(selector, this.own)));
        }
      }
    }
    return [...uses].map(([metric, seen]) => (seen.size === 1 ? ([...seen][0] as string) : printSelector({ kind: 'selector', metric, matchers: [], rangeMs: 0 }, this.own)));
  }

  /** Forgets the raw samples: another source begins. */
  restart(): void {
    this.store.clear();
    this.since = performance.now();
  }

  /** Whether a panel's range reaches further back than the live samples, so that the ring answers better. */
  leftToRing(watch: Watch): boolean {
    const short = watch.reachMs <= LONG_MS || performance.now() - this.since > watch.reachMs;
    return this.hasHistory && watch.history > 0 && !short;
  }

  /** Goes to the live view, or back; it begins with what is known of its minute. */
  look(close: boolean): void {
    if (close === this.close) return;
    this.close = close;
    for (const watch of this.watches) {
      if (close) watch.fine.seed(watch.data, this.now / 1000 - CLOSE_S);
      watch.view = close ? watch.fine : watch.data;
      watch.version.value += 1;
    }
    this.changed();
  }

  /** Samples at `now` (ms) have been pushed into the store for these metrics; `fast` ones lie between two ticks of the ring. */
  tick(now: number, touched: Set<string>, fast = false): void {
    this.now = Math.max(this.now, now);
    this.skew = now - Date.now();
    this.ticks += 1;
    if (fast) this.fastTicks += 1;
    const due = new Set([...touched].flatMap((metric) => this.byMetric.get(metric) ?? []));
    const fresh: Watch[] = [];
    for (const watch of due) {
      if (!fast && !this.leftToRing(watch) && this.refresh(watch, now)) fresh.push(watch);
      // Only charts are looked at so closely.
      if (this.close && watch.history > 0) this.refine(watch, now);
    }
    this.announce(fresh);
    this.changed(fast);
  }

  private ask(watch: Watch, now: number): Cell[] {
    return watch.questions.flatMap((question, i) =>
      evaluate(question.expr, this.store, now)
        .filter((sample) => Number.isFinite(sample.value))
        .map((sample) => cellOf(question, i, sample)),
    );
  }

  private refine(watch: Watch, now: number): void {
    this.store.longestMs = CLOSE_RANGE_MS;
    const cells = this.ask(watch, now);
    this.store.longestMs = Infinity;
    if (cells.length) watch.fine.push(now / 1000, cells);
  }

  private refresh(watch: Watch, now: number): boolean {
    const cells = this.ask(watch, now);
    if (!cells.length) return false;
    watch.data.push(now / 1000, cells);
    watch.lastSeen = performance.now();
    watch.livePoints += 1;
    return true;
  }
}
