import type { Binary, Expr, Selector } from './ast';

export type Labels = Readonly<Record<string, string>>;

/** One element of an instant vector; labels come without the metric name. */
export interface Sample {
  labels: Labels;
  value: number;
}

/** What the evaluator reads: the store of live samples. */
export interface Source {
  /** The last value of each fresh series at `now`. */
  instant(selector: Selector, now: number): Sample[];
  /** The per-second increase of each series over the selector's range, resets handled. */
  rate(selector: Selector, now: number): Sample[];
}

type Value = number | Sample[];

/** The answer of a query at `now` (milliseconds); a plain number becomes one sample without labels. */
export function evaluate(expr: Expr, source: Source, now: number): Sample[] {
  const value = evalExpr(expr, source, now);
  return typeof value === 'number' ? [{ labels: {}, value }] : value;
}

function evalExpr(expr: Expr, source: Source, now: number): Value {
  switch (expr.kind) {
    case 'number':
      return expr.value;
    case 'selector':
      return source.instant(expr, now);
    case 'call':
      return call(expr.name, expr.args, source, now);
    case 'aggregate': {
      const arg = evalExpr(expr.arg, source, now);
      return typeof arg === 'number' ? arg : aggregate(expr.op, expr.by, expr.without, arg);
    }
    case 'binary':
      return binary(expr.op, evalExpr(expr.left, source, now), evalExpr(expr.right, source, now));
  }
}

function call(name: string, args: Expr[], source: Source, now: number): Value {
  const first = args[0];
  if (name === 'rate' && first?.kind === 'selector') return source.rate(first, now);
  const values = args.map((arg) => evalExpr(arg, source, now));
  const last = values[values.length - 1];
  switch (name) {
    case 'time':
      return now / 1000;
    case 'vector':
      return typeof last === 'number' ? [{ labels: {}, value: last }] : (last ?? []);
    case 'histogram_quantile':
      return quantile(values[0] as number, last as Sample[]);
    case 'clamp_min':
      return map(values[0] ?? [], (v) => Math.max(v, last as number));
    case 'clamp_max':
      return map(values[0] ?? [], (v) => Math.min(v, last as number));
    default:
      throw new Error(`the page does not know the function ${name}`);
  }
}

function map(value: Value, f: (v: number) => number): Value {
  if (typeof value === 'number') return f(value);
  return value.map((s) => ({ labels: s.labels, value: f(s.value) }));
}

/** Labels as one string: what two samples have in common when they are the same group. */
export function key(labels: Labels): string {
  return Object.keys(labels)
    .sort()
    .map((name) => `${name}\u0001${labels[name]}`)
    .join('\u0002');
}

function pick(labels: Labels, names: string[], without: boolean): Labels {
  const kept: Record<string, string> = {};
  for (const name in labels) {
    if (names.includes(name) !== without) kept[name] = labels[name] as string;
  }
  return kept;
}

const FOLD: Record<string, (a: number, b: number) => number> = {
  sum: (a, b) => a + b,
  avg: (a, b) => a + b,
  count: (a) => a + 1,
  // As in PromQL, NaN gives way to any number.
  min: (a, b) => (b < a || Number.isNaN(a) ? b : a),
  max: (a, b) => (b > a || Number.isNaN(a) ? b : a),
};

function aggregate(op: string, by: string[], without: boolean, arg: Sample[]): Sample[] {
  const fold = FOLD[op] as (a: number, b: number) => number;
  const groups = new Map<string, { labels: Labels; value: number; count: number }>();
  for (const { labels, value } of arg) {
    const kept = pick(labels, by, without);
    const id = key(kept);
    const group = groups.get(id);
    if (!group) groups.set(id, { labels: kept, value: op === 'count' ? 1 : value, count: 1 });
    else {
      group.value = fold(group.value, value);
      group.count += 1;
    }
  }
  return [...groups.values()].map(({ labels, value, count }) => ({
    labels,
    value: op === 'avg' ? value / count : value,
  }));
}

const ARITHMETIC: Partial<Record<Binary, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
};
const COMPARE: Partial<Record<Binary, (a: number, b: number) => boolean>> = {
  '>': (a, b) => a > b,
  '<': (a, b) => a < b,
  '>=': (a, b) => a >= b,
  '<=': (a, b) => a <= b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
};

function binary(op: Binary, left: Value, right: Value): Value {
  const compute = ARITHMETIC[op];
  const compare = COMPARE[op];
  const join = (a: number, b: number): number =>
    compute ? compute(a, b) : compare?.(a, b) ? a : NaN;
  const keep = (samples: Sample[]): Sample[] =>
    compute ? samples : samples.filter((s) => !Number.isNaN(s.value));
  if (typeof left === 'number' && typeof right === 'number') return join(left, right);
  if (typeof left === 'number') {
    return keep((right as Sample[]).map((s) => ({ labels: s.labels, value: join(left, s.value) })));
  }
  if (typeof right === 'number') {
    return keep(left.map((s) => ({ labels: s.labels, value: join(s.value, right) })));
  }
  const others = new Map(right.map((s) => [key(s.labels), s]));
  if (op === 'and') return left.filter((s) => others.has(key(s.labels)));
  if (op === 'unless') return left.filter((s) => !others.has(key(s.labels)));
  if (op === 'or') {
    const have = new Set(left.map((s) => key(s.labels)));
    return [...left, ...right.filter((s) => !have.has(key(s.labels)))];
  }
  const joined: Sample[] = [];
  for (const { labels, value } of left) {
    const other = others.get(key(labels));
    if (other) joined.push({ labels, value: join(value, other.value) });
  }
  return keep(joined);
}

/** Quantile of classic histograms: linear inside the bucket that holds the rank, as Prometheus does. */
function quantile(q: number, buckets: Sample[]): Sample[] {
  const groups = new Map<string, { labels: Labels; rows: [number, number][] }>();
  for (const { labels, value } of buckets) {
    const kept = pick(labels, ['le'], true);
    const id = key(kept);
    const group = groups.get(id) ?? { labels: kept, rows: [] };
    groups.set(id, group);
    const bound = labels['le'] === '+Inf' ? Infinity : Number(labels['le']);
    group.rows.push([bound, value]);
  }
  const answers: Sample[] = [];
  for (const { labels, rows } of groups.values()) {
    const value = bucketQuantile(q, rows.sort((a, b) => a[0] - b[0]));
    if (!Number.isNaN(value)) answers.push({ labels, value });
  }
  return answers;
}

function bucketQuantile(q: number, rows: [number, number][]): number {
  const total = rows[rows.length - 1];
  if (!total || rows.length < 2 || total[0] !== Infinity || !(total[1] > 0)) return NaN;
  const rank = q * total[1];
  const i = rows.findIndex(([, count]) => count >= rank);
  const [bound, count] = rows[i] as [number, number];
  if (bound === Infinity) return rows[rows.length - 2]?.[0] ?? NaN;
  const [from, before] = rows[i - 1] ?? [Math.min(0, bound), 0];
  return from + (bound - from) * ((rank - before) / (count - before));
}
