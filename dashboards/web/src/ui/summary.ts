import { shown } from '../chart/lines';
import type { Watch } from '../data/engine';
import type { PanelDef } from '../data/panels';
import { duration, format } from '../format';
import { span } from './state';

/** The text is for people who listen: it changes at most this often. */
const EVERY_MS = 15_000;
const said = new Map<string, { at: number; text: string }>();

/** What the chart shows, in words: now, least and most of the window, and where it goes. */
export function summary(def: PanelDef, watch: Watch): string {
  const last = said.get(def.id);
  const now = performance.now();
  if (last && now - last.at < EVERY_MS) return last.text;
  const text = watch.version.value ? describe(def, watch) : `Not available. ${def.absent}`;
  said.set(def.id, { at: watch.version.value ? now : -Infinity, text });
  return text;
}

function describe(def: PanelDef, watch: Watch): string {
  const times = watch.view.times();
  const from = span.now() - span.width();
  const lines = shown(watch.view).map(({ column: line }) => {
    const values = [...watch.view.values(line)].filter((v, i) => !Number.isNaN(v) && (times[i] as number) >= from);
    if (!values.length) return `${line.label}: no value`;
    const say = (v: number): string => format(v, def.unit);
    return `${line.label}: now ${say(values.at(-1) as number)}, least ${say(Math.min(...values))}, most ${say(Math.max(...values))}, ${trend(values)}`;
  });
  return `${def.title} over the last ${duration(span.width())}. ${lines.join('; ')}.`;
}

function trend(values: number[]): string {
  const third = Math.max(1, Math.floor(values.length / 3));
  const mean = (part: number[]): number => part.reduce((a, b) => a + b, 0) / part.length;
  const before = mean(values.slice(0, third));
  const after = mean(values.slice(-third));
  const size = Math.max(Math.abs(before), Math.abs(after)) * 0.1;
  if (Math.abs(after - before) <= size) return 'steady';
  return after > before ? 'rising' : 'falling';
}
