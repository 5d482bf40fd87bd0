import type { Labels } from '../promql/eval';
import { cellOf, type Engine, type Watch } from './engine';

export const WINDOW_S = 600;
const STEP_S = 2;
/** Questions under way at once: the stream keeps one of the browser's six connections. */
const PARALLEL = 4;

interface RangeAnswer {
  data?: { result?: { metric: Labels; values: [number, string][] }[] };
}

type Points = { labels: Labels; values: Map<number, number> }[];

/** Asks the ring for the last ten minutes of every panel. @throws when the API does not answer. */
export async function backfill(engine: Engine, signal: AbortSignal): Promise<void> {
  const end = Math.floor((Date.now() + engine.skew) / 1000 / STEP_S) * STEP_S;
  const asked = new Map<string, Promise<Points>>();
  const once = (text: string): Promise<Points> => {
    const known = asked.get(text) ?? range(text, end, signal);
    asked.set(text, known);
    return known;
  };
  const queue = engine.watches.filter((w) => w.history > 0);
  const worker = async (): Promise<void> => {
    for (let watch = queue.shift(); watch; watch = queue.shift()) {
      const answers = await Promise.all(watch.questions.slice(0, watch.history).map((q) => once(q.text)));
      fill(watch, answers, end);
      engine.now ||= end * 1000;
      engine.changed();
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}

async function range(query: string, end: number, signal: AbortSignal): Promise<Points> {
  const parameters = new URLSearchParams({
    query,
    start: String(end - WINDOW_S),
    end: String(end),
    step: String(STEP_S),
  });
  const response = await fetch(`api/v1/query_range?${parameters}`, { signal });
  if (!response.ok) throw new Error(`query_range answered ${response.status}`);
  const answer = (await response.json()) as RangeAnswer;
  return (answer.data?.result ?? []).map(({ metric, values }) => {
    const { __name__: _, ...labels } = metric;
    return { labels, values: new Map(values.map(([t, v]) => [Math.round(t), Number(v)])) };
  });
}

function fill(watch: Watch, answers: Points[], end: number): void {
  const lines = watch.questions.flatMap((question, i) =>
    (answers[i] ?? []).map(({ labels, values }) => ({
      cell: cellOf(question, i, { labels, value: NaN }),
      values,
    })),
  );
  const rows = [];
  for (let seconds = end - WINDOW_S; seconds <= end; seconds += STEP_S) {
    const cells = [];
    for (const { cell, values } of lines) {
      const value = values.get(seconds);
      if (value !== undefined && Number.isFinite(value)) cells.push({ ...cell, value });
    }
    if (cells.length) rows.push({ seconds, cells });
  }
  if (!rows.length) return;
  watch.data.backfill(rows, STEP_S * 2.5);
  watch.version.value += 1;
}
