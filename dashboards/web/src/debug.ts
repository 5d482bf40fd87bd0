import { drawMs } from './chart/loop';
import type { Engine } from './data/engine';
import type { SourceControl } from './source/source';

/** What a test, or a person at the browser's console, can see of the page's inside. */
export function expose(engine: Engine, source: SourceControl): void {
  const state = {
    get source() {
      return source.name.value;
    },
    get reason() {
      return source.reason.value;
    },
    get live() {
      return source.live.value;
    },
    /** Samples a second of what comes fastest. */
    get hertz() {
      return source.hertz.value;
    },
    get fastTicks() {
      return engine.fastTicks;
    },
    /** Times and first values of the rows that the live view has of a panel. */
    fine(id: string): { times: number[]; values: number[] } {
      const { fine } = engine.watch(id);
      const first = fine.columns[0];
      return { times: [...fine.times()], values: first ? [...fine.values(first)] : [] };
    },
    get ticks() {
      return engine.ticks;
    },
    get series() {
      return engine.store.size;
    },
    /** What the newest drawing frames cost in script, in milliseconds. */
    drawMs,
    /** The labels of the live series of a metric. */
    labels(metric: string): object[] {
      return engine.store.labels(metric);
    },
    /** Seconds between the rows of a panel that have a value. */
    gaps(id: string): number[] {
      const { data } = engine.watch(id);
      const first = data.columns[0];
      const values = first ? data.values(first) : [];
      const times = [...data.times()].filter((_, i) => !Number.isNaN(values[i]));
      return times.slice(1).map((t, i) => t - (times[i] as number));
    },
    get panels() {
      return Object.fromEntries(
        engine.watches.map((watch) => [
          watch.id,
          {
            last: watch.data.last,
            rows: watch.data.rows,
            points: watch.livePoints,
            values: watch.data.columns.map((c) => [c.label, watch.data.latest(c)]),
          },
        ]),
      );
    },
  };
  Object.assign(window, { __watchfire: state });
}
