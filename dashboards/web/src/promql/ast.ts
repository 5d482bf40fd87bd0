/**
 * The part of PromQL that the page evaluates itself on live samples. A panel is one query: the
 * daemon answers it for the past, the code here answers it for the second that just came in.
 */

export type MatchOp = '=' | '!=' | '=~' | '!~';

export interface Matcher {
  name: string;
  op: MatchOp;
  value: string;
}

export interface Selector {
  kind: 'selector';
  metric: string;
  matchers: Matcher[];
  /** The range in milliseconds, 0 for an instant selector. */
  rangeMs: number;
}

export type Binary = '+' | '-' | '*' | '/' | '>' | '<' | '>=' | '<=' | '==' | '!=' | 'or' | 'and' | 'unless';

export type Expr =
  | { kind: 'number'; value: number }
  | Selector
  | { kind: 'call'; name: string; args: Expr[] }
  | { kind: 'aggregate'; op: string; by: string[]; without: boolean; arg: Expr }
  | { kind: 'binary'; op: Binary; left: Expr; right: Expr };

/** All selectors of a query, in order. */
export function selectors(expr: Expr): Selector[] {
  switch (expr.kind) {
    case 'number':
      return [];
    case 'selector':
      return [expr];
    case 'call':
      return expr.args.flatMap(selectors);
    case 'aggregate':
      return selectors(expr.arg);
    case 'binary':
      return [...selectors(expr.left), ...selectors(expr.right)];
  }
}

/** A selector without its range, as `match[]` takes it; `more` matchers make it narrower. */
export function printSelector({ metric, matchers }: Selector, more: Matcher[] = []): string {
  const inside = [...matchers, ...more].map((m) => `${m.name}${m.op}${JSON.stringify(m.value)}`).join(',');
  return inside ? `${metric}{${inside}}` : metric;
}

/** A query as text, each of its selectors narrowed by `more` matchers. */
export function print(expr: Expr, more: Matcher[] = []): string {
  const inner = (e: Expr): string => print(e, more);
  switch (expr.kind) {
    case 'number':
      return String(expr.value);
    case 'selector':
      return printSelector(expr, more) + (expr.rangeMs ? `[${expr.rangeMs}ms]` : '');
    case 'call':
      return `${expr.name}(${expr.args.map(inner).join(', ')})`;
    case 'aggregate': {
      const names = expr.without || expr.by.length ? ` ${expr.without ? 'without' : 'by'} (${expr.by.join(', ')})` : '';
      return `${expr.op}${names} (${inner(expr.arg)})`;
    }
    case 'binary':
      return `(${inner(expr.left)} ${expr.op} ${inner(expr.right)})`;
  }
}
