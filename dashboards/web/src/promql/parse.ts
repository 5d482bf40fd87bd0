import type { Binary, Expr, Matcher, MatchOp } from './ast';

const TOKEN =
  /\s*(?:(\d+(?:\.\d+)?(?:ms|[smhdw])(?:\d+(?:ms|[smhdw]))*)|(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)|([A-Za-z_:][\w:]*)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(=~|!~|!=|==|>=|<=|[-+*/(){}[\],=<>]))/y;

const AGGREGATES = new Set(['sum', 'avg', 'min', 'max', 'count']);
const PRECEDENCE: Record<string, number> = {
  or: 1, and: 2, unless: 2,
  '==': 3, '!=': 3, '>': 3, '<': 3, '>=': 3, '<=': 3,
  '+': 4, '-': 4, '*': 5, '/': 5,
};
const UNIT_MS: Record<string, number> = { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 };

interface Token {
  type: 'duration' | 'number' | 'word' | 'string' | 'sign' | 'end';
  text: string;
  at: number;
}

function lex(query: string): Token[] {
  const tokens: Token[] = [];
  const types = ['duration', 'number', 'word', 'string', 'sign'] as const;
  TOKEN.lastIndex = 0;
  const end = query.trimEnd().length;
  while (TOKEN.lastIndex < end) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(query);
    if (!match) throw new Error(`unexpected character at ${at} of: ${query}`);
    const found = types.findIndex((_, i) => match[i + 1] !== undefined);
    tokens.push({ type: types[found] ?? 'end', text: match[found + 1] ?? '', at });
  }
  tokens.push({ type: 'end', text: '', at: query.length });
  return tokens;
}

/** The length of a PromQL duration such as `1m30s`. */
export function durationMs(text: string): number {
  let sum = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)) {
    sum += Number(count) * (UNIT_MS[unit ?? ''] ?? NaN);
  }
  return sum;
}

class Parser {
  private next = 0;
  private readonly tokens: Token[];

  constructor(private readonly query: string) {
    this.tokens = lex(query);
  }

  whole(): Expr {
    const expr = this.expr(0);
    if (this.peek().type !== 'end') this.fail('end of query');
    return expr;
  }

  private peek(): Token {
    return this.tokens[this.next] as Token;
  }

  private take(): Token {
    const token = this.peek();
    if (token.type !== 'end') this.next += 1;
    return token;
  }

  private accept(text: string): boolean {
    const hit = this.peek().text === text && this.peek().type !== 'string';
    if (hit) this.next += 1;
    return hit;
  }

  private expect(text: string): void {
    if (!this.accept(text)) this.fail(`"${text}"`);
  }

  private fail(wanted: string): never {
    const { text, at } = this.peek();
    throw new Error(`expected ${wanted}, found "${text}" at ${at} of: ${this.query}`);
  }

  private expr(level: number): Expr {
    let left = this.unary();
    for (;;) {
      const op = this.peek().text;
      const binding = this.peek().type === 'string' ? undefined : PRECEDENCE[op];
      if (binding === undefined || binding <= level) return left;
      this.take();
      left = { kind: 'binary', op: op as Binary, left, right: this.expr(binding) };
    }
  }

  private unary(): Expr {
    if (this.accept('-')) {
      return { kind: 'binary', op: '*', left: { kind: 'number', value: -1 }, right: this.unary() };
    }
    if (this.accept('(')) {
      const inside = this.expr(0);
      this.expect(')');
      return inside;
    }
    const token = this.take();
    if (token.type === 'number') return { kind: 'number', value: Number(token.text) };
    if (token.type !== 'word') {
      this.next -= 1;
      this.fail('a number, a metric or a function');
    }
    if (AGGREGATES.has(token.text)) return this.aggregate(token.text);
    if (this.peek().text === '(') return { kind: 'call', name: token.text, args: this.args() };
    return this.selector(token.text);
  }

  private aggregate(op: string): Expr {
    let grouping = this.grouping();
    const args = this.args();
    if (args.length !== 1) this.fail('one argument');
    grouping ??= this.grouping();
    return { kind: 'aggregate', op, by: [], without: false, ...grouping, arg: args[0] as Expr };
  }

  private grouping(): { by: string[]; without: boolean } | undefined {
    const word = this.peek().text;
    if (word !== 'by' && word !== 'without') return undefined;
    this.take();
    this.expect('(');
    const by: string[] = [];
    while (!this.accept(')')) {
      by.push(this.take().text);
      this.accept(',');
    }
    return { by, without: word === 'without' };
  }

  private args(): Expr[] {
    this.expect('(');
    const args: Expr[] = [];
    while (!this.accept(')')) {
      if (this.peek().type === 'end') this.fail('")"');
      args.push(this.expr(0));
      this.accept(',');
    }
    return args;
  }

  private selector(metric: string): Expr {
    const matchers: Matcher[] = [];
    if (this.accept('{')) {
      while (!this.accept('}')) {
        const name = this.take().text;
        const op = this.take().text as MatchOp;
        if (this.peek().type !== 'string') this.fail('a quoted label value');
        matchers.push({ name, op, value: unquote(this.take().text) });
        this.accept(',');
      }
    }
    let rangeMs = 0;
    if (this.accept('[')) {
      rangeMs = durationMs(this.take().text);
      this.expect(']');
    }
    return { kind: 'selector', metric, matchers, rangeMs };
  }
}

function unquote(text: string): string {
  return text.slice(1, -1).replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
}

/**
 * Reads a query of the page's part of PromQL.
 * @throws Error with the place and what was expected.
 */
export function parse(query: string): Expr {
  return new Parser(query).whole();
}
