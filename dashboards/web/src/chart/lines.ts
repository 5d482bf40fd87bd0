import type { Column, Columns } from '../data/columns';

/** Lines drawn at once; more cannot be told apart. */
export const MAX_LINES = 8;
/** A choice among many lines stands this long, so that charts and legends keep still. */
const CHOICE_S = 30;
/** Columns without a value for this long are not shown. */
const GONE_S = 600;

/** A column with the ink that it is drawn in. */
export interface Line {
  column: Column;
  ink: number;
}

interface Choice {
  generation: number;
  at: number;
  lines: readonly Line[];
}

const choices = new WeakMap<Columns, Choice>();

/** What a chart and its legend show: all columns, or those with the largest newest values. */
export function shown(data: Columns): readonly Line[] {
  const known = choices.get(data);
  if (known && known.generation === data.generation && data.last - known.at < CHOICE_S) return known.lines;
  const lines = choose(data);
  choices.set(data, { generation: data.generation, at: data.last, lines });
  return lines;
}

function choose(data: Columns): Line[] {
  const live = data.columns.filter((c) => c.lastSeen > data.last - GONE_S);
  if (live.length <= MAX_LINES) {
    return live.map((column) => ({ column, ink: live.length > 1 ? column.slot : 0 }));
  }
  return [...live]
    .sort((a, b) => (data.latest(b) || 0) - (data.latest(a) || 0))
    .slice(0, MAX_LINES)
    .sort((a, b) => a.slot - b.slot)
    .map((column, ink) => ({ column, ink }));
}
