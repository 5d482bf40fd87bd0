import type { Unit } from '../data/panels';

/** Tops of an axis that divide into four or five round steps. */
const DECIMAL: [number, number][] = [[1, 4], [1.5, 3], [2, 4], [3, 3], [4, 4], [5, 5], [6, 3], [8, 4], [10, 5]];

export interface Axis {
  top: number;
  steps: number;
}

/**
 * The smallest round top at or above `max`, and its steps: the axis stays where it is while values
 * wander, and its numbers stay short.
 */
export function axisFor(max: number, unit: Unit): Axis {
  if (!(max > 0)) return { top: 1, steps: 4 };
  // A share that nears its whole does not pass it.
  if (unit === 'ratio' && max > 0.8 && max <= 1.05) return { top: 1, steps: 4 };
  const binary = (unit === 'bytes' || unit === 'bytes/s') && max >= 1000;
  const thousands = binary ? 1024 ** Math.floor(Math.log(max / 1000) / Math.log(1024) + 1) : 1;
  const rest = max / thousands;
  const power = 10 ** Math.floor(Math.log10(rest));
  const [top, steps] = DECIMAL.find(([m]) => m * power >= rest * 0.9999) ?? [10, 5];
  return { top: top * power * thousands, steps };
}

export function splits({ top, steps }: Axis): number[] {
  return Array.from({ length: steps + 1 }, (_, i) => (top * i) / steps);
}

/**
 * Moves labels apart that would cover each other, as little as possible.
 * @param wanted positions in pixels; the answer keeps their order.
 */
export function spread(wanted: number[], height: number, low: number, high: number): number[] {
  const order = wanted.map((y, i) => ({ y, i })).sort((a, b) => a.y - b.y);
  let edge = low;
  for (const label of order) {
    label.y = Math.max(label.y, edge);
    edge = label.y + height;
  }
  edge = high;
  for (const label of order.reverse()) {
    label.y = Math.min(label.y, edge);
    edge = label.y - height;
  }
  const placed: number[] = [];
  for (const { y, i } of order) placed[i] = y;
  return placed;
}
