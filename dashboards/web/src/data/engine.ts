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

/** Something that is asked again whenever a metric that it reads has moved. */
export class Watch {
  readonly data = new Columns();
  /** Counts the live rows; the reactive part of the page looks at this alone. */
  readonly version: Signal<number> = signal(0);
  /** When a value last came in, by the browser's monotonic clock; 0 before the first. */
  lastSeen = 0;
  livePoints = 0;
  readonly metrics: Set<string>;

  constructor(
    readonly id: string,
    readonly questions: Question[],
    /** How many of its questions, from the first, are asked for the past too. */
    readonly history: number,
  ) {
    this.metrics = new Set(questions.flatMap((q) => selectors(q.expr)).map((s) => s.metric));
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
  /** The timestamp of the oldest row of any panel, in seconds. */
  oldest = Infinity;
  /** What narrows a query of the ring to this machine's own series. */
  own: Matcher[] = [];
  /** How far the daemon's clock is ahead of the browser's, in milliseconds. */
  skew = 0;
  private readonly byId = new Map(this.watches.map((w) => [w.id, w]));
  private readonly byMetric = new Map<string, Watch[]>();
  private readonly listeners: (() => void)[] = [];

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

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Tells everybody who draws that something changed. */
  changed(): void {
    this.oldest = Infinity;
    for (const { data } of this.watches) if (data.first < this.oldest) this.oldest = data.first;
    for (const listener of this.listeners) listener();
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

  /** Samples at `now` (ms) have been pushed into the store for these metrics. */
  tick(now: number, touched: Set<string>): void {
    this.now = Math.max(this.now, now);
    this.skew = now - Date.now();
    this.ticks += 1;
    const due = new Set([...touched].flatMap((metric) => this.byMetric.get(metric) ?? []));
    for (const watch of due) this.refresh(watch, now);
    this.changed();
  }

  private refresh(watch: Watch, now: number): void {
    const cells = watch.questions.flatMap((question, i) =>
      evaluate(question.expr, this.store, now)
        .filter((sample) => Number.isFinite(sample.value))
        .map((sample) => cellOf(question, i, sample)),
    );
    if (!cells.length) return;
    watch.data.push(now / 1000, cells);
    watch.lastSeen = performance.now();
    watch.livePoints += 1;
    watch.version.value += 1;
  }
}
