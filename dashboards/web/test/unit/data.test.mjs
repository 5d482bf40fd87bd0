import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { modules } from '../modules.mjs';

const { loaded, close } = await modules('data/columns', 'source/openmetrics', 'chart/scale', 'format', 'chart/lines');
const [{ Columns }, { eachSample, labelsOf }, { axisFor, splits, spread }, { format, axisText, duration }, { shown }] = loaded;
after(close);

const cell = (label, value, query = 0) => ({ id: `${query}-${label}`, query, labels: { label }, label, value });
const lists = (data) => ({
  times: [...data.times()],
  ...Object.fromEntries(data.columns.map((c) => [c.label, [...data.values(c)]])),
});

test('rows replace each other within a second, holes stay holes', () => {
  const data = new Columns();
  data.push(1.2, [cell('a', 1)]);
  data.push(1.9, [cell('a', 2)]);
  data.push(2.1, [cell('a', 3), cell('b', 9)]);
  data.push(1.0, [cell('a', 99)]);
  data.push(8, [cell('a', 4)]);
  assert.deepEqual(lists(data), {
    times: [1.9, 2.1, 3.1, 8],
    a: [2, 3, NaN, 4],
    b: [NaN, 9, NaN, NaN],
  });
});

test('fine rows are a tenth of a second apart and begin with what is known', () => {
  const data = new Columns();
  for (let t = 1; t <= 100; t += 1) data.push(t, [cell('b', t, 1), cell('a', 2 * t)]);
  const fine = new Columns(100);
  fine.push(5, [cell('gone', 1)]);
  fine.seed(data, 98);
  for (const t of [100.1, 100.2, 100.25, 100.3, 101]) fine.push(t, [cell('a', t), cell('b', 1, 1)]);
  assert.deepEqual([...fine.times()], [98, 99, 100, 100.1, 100.25, 100.3, 101]);
  assert.deepEqual([...fine.values(fine.columns[0])], [196, 198, 200, 100.1, 100.25, 100.3, 101]);
  const slots = (columns) => columns.columns.map((c) => [c.label, c.slot]);
  assert.deepEqual(slots(fine), slots(data), 'lines keep their colours');
  assert.equal(data.rows, 100, 'the other is as it was');
});

test('the ring keeps the newest rows as one view', () => {
  const data = new Columns();
  for (let t = 1; t <= 3000; t += 1) data.push(t, [cell('a', t)]);
  const { times, a } = lists(data);
  assert.equal(times.length, 1024);
  assert.deepEqual([times[0], times.at(-1)], [1977, 3000]);
  assert.deepEqual(a, times);
});

test('a column without a value in the window is forgotten when another comes', () => {
  const data = new Columns();
  data.push(1, [cell('old', 1)]);
  for (let t = 2; t <= 1100; t += 1) data.push(t, [cell('a', t)]);
  data.push(1101, [cell('new', 1)]);
  assert.deepEqual(data.columns.map((c) => c.label).sort(), ['a', 'new']);
});

test('history goes before what came live', () => {
  const data = new Columns();
  data.push(10.5, [cell('a', 10)]);
  data.push(11.5, [cell('a', 11), cell('b', 1)]);
  data.backfill([6, 8, 10].map((seconds) => ({ seconds, cells: [cell('a', seconds)] })));
  assert.deepEqual(lists(data), { times: [6, 8, 10.5, 11.5], a: [6, 8, 10, 11], b: [NaN, NaN, NaN, 1] });
  // After a pause the ring fills the hole, too.
  data.push(60.5, [cell('a', 60)]);
  assert.equal(data.hasHole(11, 3.5), true);
  data.backfill(Array.from({ length: 25 }, (_, i) => 12 + 2 * i).map((seconds) => ({ seconds, cells: [cell('a', seconds)] })));
  assert.equal(data.hasHole(11, 3.5), false);
  const { times, a } = lists(data);
  assert.deepEqual([times.slice(0, 5), a.slice(-2)], [[6, 8, 10.5, 11.5, 12], [58, 60]]);
});

test('among many columns the largest are shown, and the choice stands', () => {
  const data = new Columns();
  const cells = Array.from({ length: 20 }, (_, i) => cell(`c${i}`, i));
  data.push(1, cells);
  const names = () => shown(data).map((line) => line.column.label);
  assert.deepEqual(names(), ['c12', 'c13', 'c14', 'c15', 'c16', 'c17', 'c18', 'c19']);
  assert.equal(new Set(shown(data).map((line) => line.ink)).size, 8);
  data.push(2, cells.map((c) => ({ ...c, value: -c.value })));
  assert.equal(names()[0], 'c12');
  data.push(40, cells.map((c) => ({ ...c, value: -c.value })));
  assert.equal(names()[0], 'c0');
});

test('sample lines of OpenMetrics and of the text format', () => {
  const seen = [];
  eachSample(
    [
      '# HELP a words', '# TYPE a counter', 'a_total 1.5', 'a{b="c d",e="}\\" x"} 2e3 1700000000.5',
      'h_bucket{le="+Inf"} 7 # {trace_id="x"} 0.5 1700000000', '{"utf.8",k="v"} -Inf', 'n NaN', 'broken', '', '# EOF',
    ].join('\n'),
    (series, value) => seen.push([series, value]),
  );
  assert.deepEqual(seen, [
    ['a_total', 1.5], ['a{b="c d",e="}\\" x"}', 2000], ['h_bucket{le="+Inf"}', 7], ['{"utf.8",k="v"}', -Infinity],
  ]);
});

test('labels of a series text', () => {
  for (const [text, labels] of [
    ['a_total', { __name__: 'a_total' }],
    ['a{}', { __name__: 'a' }],
    ['a{b="c d",e="}\\" \\n\\\\"}', { __name__: 'a', b: 'c d', e: '}" \n\\' }],
    ['{"utf.8",k="v"}', { __name__: 'utf.8', k: 'v' }],
    ['a{"k.x"="v",}', { __name__: 'a', 'k.x': 'v' }],
  ]) assert.deepEqual(labelsOf(text), labels);
});

test('axis tops are round and above the values', () => {
  for (const [max, unit, top] of [
    [0, 'count', 1], [0.7, 'load', 0.8], [11, 'count', 15], [780, 'tokens/s', 800], [1001, 'watts', 1500],
    [62.7 * 2 ** 30, 'bytes', 80 * 2 ** 30], [1100, 'bytes/s', 1.5 * 1024], [900, 'bytes', 1000], [1e6 * 1.04, 'bytes/s', 1024 ** 2],
    [1.04, 'ratio', 1], [0.3, 'ratio', 0.3],
  ]) {
    const axis = axisFor(max, unit);
    assert.ok(axis.top >= max || axis.top === 1, `${axis.top} for ${max}`);
    assert.ok(Math.abs(axis.top / top - 1) < 1e-9, `${max} ${unit}: ${axis.top}, expected ${top}`);
    assert.equal(splits(axis).at(-1), axis.top);
  }
});

test('end labels keep their order and do not touch', () => {
  assert.deepEqual(spread([50, 52, 20], 13, 0, 100), [50, 63, 20]);
  assert.deepEqual(spread([99, 98, 97], 10, 0, 100), [100, 90, 80]);
});

test('values with their units', () => {
  for (const [value, unit, text] of [
    [undefined, 'count', '–'], [0, 'ratio', '0 %'], [0.4567, 'ratio', '45.7 %'], [1, 'ratio', '100 %'],
    [1536, 'bytes', '1.50 KiB'], [31.2 * 2 ** 30, 'bytes', '31.2 GiB'], [12, 'bytes/s', '12 B/s'], [0.0692, 'seconds', '69.2 ms'],
    [12345, 'tokens/s', '12.3k tok/s'], [-3.5, 'celsius', '−3.50 °C'], [16, 'cores', '16 cores'], [1, 'yes', 'yes'],
  ]) assert.equal(format(value, unit), text);
  assert.equal(axisText(512 * 1024, 'bytes', 1.5 * 1024 ** 2), '0.5 MiB');
  for (const [value, unit, text] of [[1.5, 'seconds', '1.5 s'], [2.5 * 1024, 'bytes/s', '2.5 KiB'], [100, 'watts', '100'], [0.25, 'ratio', '25 %']]) {
    assert.equal(axisText(value, unit), text);
  }
  for (const [seconds, text] of [[0, '0 s'], [59.9, '59 s'], [3600, '1 h'], [273_000, '3 d 3 h'], [-5, '0 s']]) assert.equal(duration(seconds), text);
});
