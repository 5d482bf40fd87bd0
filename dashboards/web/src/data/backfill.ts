import { print, selectors, type Expr } from '../promql/ast';
import type { Labels } from '../promql/eval';
import { askData } from '../source/access';
import { cellOf, type Engine, type Watch } from './engine';

export const WINDOW_S = 600;
const STEP_S = 2;
/** Rows further apart than this have a hole between them. */
const HOLE_S = STEP_S * 1.75;
/** Questions under way at once: the stream keeps one of the browser's six connections. */
const PARALLEL = 4;
const FOLLOW_S = 12;
const FOLLOW_EVERY_MS = 4_000;
/** A rate over less than this is too small while its range reaches before the counter's first sample. */
const YOUNG_S = 10;

interface RangeAnswer {
  result?: { metric: Labels; values: [number, string][] }[];
}

interface Window {
  start: number;
  end: number;
}

type Points = { labels: Labels; values: Map<number, number> }[];

/**
 * Asks the ring for the last ten minutes of every panel.
 * @returns the end of what was asked for, in seconds.
 * @throws when the API does not answer.
 */
export async function backfill(engine: Engine, signal: AbortSignal): Promise<number> {
  const end = clock(engine);
  const watches = engine.watches.filter((w) => w.history > 0);
  await fillAll(engine, watches, { start: end - WINDOW_S, end }, signal);
  engine.hasHistory = true;
  return end;
}

/** Fills what lies between the end of the past and the first samples that came live. */
export async function mend(engine: Engine, seam: number, signal: AbortSignal): Promise<void> {
  const start = seam - STEP_S;
  const watches = engine.watches.filter((w) => w.history > 0 && w.livePoints > 0 && w.data.hasHole(start, HOLE_S));
  await fillAll(engine, watches, { start, end: clock(engine) - STEP_S }, signal);
}

/** Asks the ring for what the live samples do not reach far enough back to tell, until they do. */
export async function follow(engine: Engine, signal: AbortSignal): Promise<void> {
  for (;;) {
    const watches = engine.watches.filter((w) => engine.leftToRing(w));
    if (!watches.length || signal.aborted) return;
    const end = clock(engine);
    await fillAll(engine, watches, { start: end - FOLLOW_S, end }, signal);
    await new Promise((next) => window.setTimeout(next, FOLLOW_EVERY_MS));
  }
}

const clock = (engine: Engine): number => Math.floor((Date.now() + engine.skew) / 1000 / STEP_S) * STEP_S;

async function fillAll(engine: Engine, watches: Watch[], window: Window, signal: AbortSignal): Promise<void> {
  const asked = new Map<string, Promise<Points>>();
  const once = ({ text, expr }: { text: string; expr: Expr }): Promise<Points> => {
    const known = asked.get(text) ?? range(engine, expr, window, signal);
    asked.set(text, known);
    return known;
  };
  const queue = [...watches];
  const worker = async (): Promise<void> => {
    for (let watch = queue.shift(); watch; watch = queue.shift()) {
      fill(watch, await Promise.all(watch.questions.slice(0, watch.history).map(once)), window);
      engine.now ||= window.end * 1000;
      engine.changed();
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}

async function range(engine: Engine, expr: Expr, window: Window, signal: AbortSignal): Promise<Points> {
  const parameters = new URLSearchParams({
    query: print(expr, engine.own),
    start: String(window.start),
    end: String(window.end),
    step: String(STEP_S),
  });
  const answer = await askData<RangeAnswer>(`api/v1/query_range?${parameters}`, { signal });
  const young = Math.max(0, ...selectors(expr).map((s) => s.rangeMs / 1000).filter((s) => s <= YOUNG_S));
  return (answer.result ?? []).map(({ metric, values }) => {
    const { __name__: _, ...labels } = metric;
    const points = values.map(([t, v]): [number, number] => [Math.round(t), Number(v)]);
    return { labels, values: new Map(settled(points, young, window.start)) };
  });
}

/** The points without those that stand less than `young` seconds behind the start of their line. */
function settled(points: [number, number][], young: number, start: number): [number, number][] {
  let born = start - young;
  let before = start;
  return points.filter(([t]) => {
    if (t - before > HOLE_S) born = t;
    before = t;
    return t - born >= young - 1;
  });
}

function fill(watch: Watch, answers: Points[], { start, end }: Window): void {
  const lines = watch.questions.flatMap((question, i) =>
    (answers[i] ?? []).map(({ labels, values }) => ({
      cell: cellOf(question, i, { labels, value: NaN }),
      values,
    })),
  );
  const rows = [];
  for (let seconds = start; seconds <= end; seconds += STEP_S) {
    const cells = [];
    for (const { cell, values } of lines) {
      const value = values.get(seconds);
      if (value !== undefined && Number.isFinite(value)) cells.push({ ...cell, value });
    }
    if (cells.length) rows.push({ seconds, cells });
  }
  if (!rows.length) return;
  watch.data.backfill(rows);
  const older = rows.filter((row) => !(row.seconds >= watch.fine.first));
  if (watch.view === watch.fine && older.length) watch.fine.backfill(older);
  watch.lastSeen = performance.now();
  watch.version.value += 1;
}
