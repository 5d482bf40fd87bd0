import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { after, test } from 'node:test';
import { modules } from '../modules.mjs';

const { loaded, close } = await modules('promql/parse', 'promql/ast', 'promql/eval', 'data/store');
const [{ parse, durationMs }, { print, selectors, printSelector }, { evaluate }, { SeriesStore }] = loaded;
after(close);

/** Samples one a second for ten seconds: `[labels, value of second n]`. */
const SERIES = [
  [{ __name__: 'cpu_total', cpu: '0', mode: 'idle' }, (n) => n * 0.5],
  [{ __name__: 'cpu_total', cpu: '1', mode: 'idle' }, (n) => n * 0.9],
  [{ __name__: 'cpu_total', cpu: '0', mode: 'user' }, (n) => n * 0.5],
  [{ __name__: 'reset_total' }, (n) => (n < 8 ? 100 + n * 2 : (n - 8) * 2)],
  [{ __name__: 'used', gpu: '0' }, () => 30],
  [{ __name__: 'used', gpu: '1' }, () => 10],
  [{ __name__: 'total', gpu: '0' }, () => 40],
  [{ __name__: 'total', gpu: '1' }, () => 40],
  [{ __name__: 'one' }, () => 7],
  [{ __name__: 'lat_bucket', le: '1' }, (n) => n * 5],
  [{ __name__: 'lat_bucket', le: '2' }, (n) => n * 10],
  [{ __name__: 'lat_bucket', le: '+Inf' }, (n) => n * 10],
];

function store() {
  const made = new SeriesStore();
  for (const [labels, value] of SERIES) {
    const series = made.add(labels);
    for (let n = 0; n <= 10; n += 1) series.push(n * 1000, value(n));
  }
  return made;
}

const answers = [
  ['1 + 2 * 3', { '': 7 }],
  ['(1 + 2) * 3 - -1', { '': 10 }],
  ['one / 2', { '': 3.5 }],
  ['rate(cpu_total{mode="idle"}[5s])', { 'cpu=0,mode=idle': 0.5, 'cpu=1,mode=idle': 0.9 }],
  ['1 - avg(rate(cpu_total{mode="idle"}[5s]))', { '': 0.3 }],
  ['sum by (cpu) (rate(cpu_total[5s]))', { 'cpu=0': 1, 'cpu=1': 0.9 }],
  ['sum(rate(cpu_total[5s])) by (mode)', { 'mode=idle': 1.4, 'mode=user': 0.5 }],
  ['sum without (cpu) (rate(cpu_total[5s]))', { 'mode=idle': 1.4, 'mode=user': 0.5 }],
  ['count(count by (cpu) (cpu_total))', { '': 2 }],
  ['rate(reset_total[5s])', { '': 1.5 }],
  ['max by (gpu) (used) / max by (gpu) (total)', { 'gpu=0': 0.75, 'gpu=1': 0.25 }],
  ['sum(used{gpu!="1"})', { '': 30 }],
  ['sum(used{gpu=~"0|1"})', { '': 40 }],
  ['sum(used{gpu!~"(1|2).*"})', { '': 30 }],
  ['sum(used{job=~"|watchfire"})', { '': 40 }],
  ['sum(used{job="watchfire"})', {}],
  ['max((used - 30) / (used - 30))', { '': 1 }],
  ['min((used - 30) / (used - 30))', { '': 1 }],
  ['used > 20', { 'gpu=0': 30 }],
  ['used{gpu="0"} or used', { 'gpu=0': 30, 'gpu=1': 10 }],
  ['used unless used{gpu="0"}', { 'gpu=1': 10 }],
  ['used and used{gpu="0"}', { 'gpu=0': 30 }],
  ['clamp_min(-1 * one, 0)', { '': 0 }],
  ['clamp_max(used, 20)', { 'gpu=0': 20, 'gpu=1': 10 }],
  ['histogram_quantile(0.75, rate(lat_bucket[5s]))', { '': 1.5 }],
  ['absent_metric', {}],
];

for (const [query, expected] of answers) {
  test(`evaluates ${query}`, () => {
    const got = evaluate(parse(query), store(), 10_000).map(({ labels, value }) => [
      Object.entries(labels).map(([k, v]) => `${k}=${v}`).sort().join(','),
      Math.round(value * 1e9) / 1e9,
    ]);
    assert.deepEqual(Object.fromEntries(got), expected);
  });
}

test('a series that stopped no longer counts', () => {
  assert.equal(evaluate(parse('one'), store(), 13_000).length, 1);
  assert.equal(evaluate(parse('one'), store(), 14_000).length, 0);
});

for (const query of ['sum(', 'a{b}', 'a{b="c"', '1 +', 'rate(a[5s)', 'a b', 'a $ b', 'sum(a, b)']) {
  test(`refuses ${query}`, () => assert.throws(() => parse(query), /expected|unexpected/));
}

test('durations', () => {
  for (const [text, ms] of [['5s', 5e3], ['1m30s', 9e4], ['250ms', 250], ['1h', 36e5]]) assert.equal(durationMs(text), ms);
});

test('a selector prints as match[] takes it', () => {
  const [selector] = selectors(parse('sum(rate(a_total{x!="1",y=~"b|c\\\\d"}[5s]))'));
  assert.equal(printSelector(selector), 'a_total{x!="1",y=~"b|c\\\\d"}');
});

test('a query is narrowed at each of its selectors', () => {
  const own = [{ name: 'instance', op: '=', value: 'a:1' }, { name: 'job', op: '!=', value: 'x' }];
  assert.equal(
    print(parse('1 - sum by (x) (rate(a{b="c"}[5s])) / max(d)'), own),
    '(1 - (sum by (x) (rate(a{b="c",instance="a:1",job!="x"}[5000ms])) / max (d{instance="a:1",job!="x"})))',
  );
});

const panels = new URL('../../../panels/', import.meta.url);
for (const name of readdirSync(panels)) {
  test(`every query of ${name} is one that the page can answer`, () => {
    const queries = [];
    JSON.parse(readFileSync(new URL(name, panels), 'utf8'), (key, value) => {
      if (key === 'query') queries.push(value);
      if (key === 'facts') queries.push(...Object.values(value));
      return value;
    });
    assert.ok(queries.length > 3);
    for (const query of queries) {
      evaluate(parse(query), new SeriesStore(), 0);
      assert.deepEqual(parse(print(parse(query))), parse(query));
    }
  });
}
