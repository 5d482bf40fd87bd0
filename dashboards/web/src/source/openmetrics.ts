import type { Labels } from '../promql/eval';

/**
 * Reads the sample lines of OpenMetrics and of the older text format. A series is known by the
 * text before its value, so that labels are taken apart only when a series is new.
 */
export function eachSample(text: string, visit: (series: string, value: number) => void): void {
  let start = 0;
  while (start < text.length) {
    let end = text.indexOf('\n', start);
    if (end < 0) end = text.length;
    if (text.charCodeAt(start) !== 35 && end > start) {
      const split = seriesEnd(text, start, end);
      const series = text.slice(start, split);
      let stop = text.indexOf(' ', split + 1);
      if (stop < 0 || stop > end) stop = end;
      const value = number(text.slice(split + 1, stop));
      if (value !== undefined) visit(series, value);
    }
    start = end + 1;
  }
}

function number(text: string): number | undefined {
  const word = text.trim();
  if (word === '+Inf') return Infinity;
  if (word === '-Inf') return -Infinity;
  return word === '' || Number.isNaN(Number(word)) ? undefined : Number(word);
}

/** Where the name and labels end: the first blank outside quotes. */
function seriesEnd(text: string, start: number, end: number): number {
  let quoted = false;
  for (let i = start; i < end; i += 1) {
    const c = text.charCodeAt(i);
    if (quoted && c === 92) i += 1;
    else if (c === 34) quoted = !quoted;
    else if (c === 32 && !quoted) return i;
  }
  return end;
}

const LABEL = /\s*(?:([A-Za-z_]\w*)|"((?:[^"\\]|\\.)*)")\s*(=)?\s*(?:"((?:[^"\\]|\\.)*)")?\s*,?/y;

/** The labels of a series text, its name as `__name__`. */
export function labelsOf(series: string): Labels {
  const brace = series.indexOf('{');
  if (brace < 0) return { __name__: series };
  const labels: Record<string, string> = {};
  if (brace > 0) labels['__name__'] = series.slice(0, brace);
  LABEL.lastIndex = brace + 1;
  for (let m = LABEL.exec(series); m; m = LABEL.exec(series)) {
    const [, bare, quoted, equals, value] = m;
    const name = bare ?? unescape(quoted ?? '');
    // A quoted word alone is the name of the metric (UTF-8 names).
    if (equals) labels[name] = unescape(value ?? '');
    else labels['__name__'] = name;
  }
  return labels;
}

function unescape(text: string): string {
  return text.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
}
