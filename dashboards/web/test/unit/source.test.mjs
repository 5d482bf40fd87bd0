import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { modules } from '../modules.mjs';

// These modules read the browser's memory when they are loaded.
globalThis.sessionStorage = { getItem: () => null, setItem: () => undefined };
const { loaded, close } = await modules('source/own', 'source/sse');
const [{ narrow }, { messages }] = loaded;
after(close);

const up = (job, instance, at) => ({ metric: { job, instance }, value: [100, String(at)] });
const target = (job, instance) => ({ job, instance });

for (const [what, series, targets, expected] of [
  ['nothing yet', [], [], undefined],
  ['alone', [up('node', 'a:1', 99), up('watchfire', 'a:1', 99)], [], ['instance=a:1']],
  ['beside a node_exporter', [up('watchfire', 'a:1', 99), up('box', 'b:9', 99)], [target('box', 'b:9')], ['instance=a:1']],
  ['with another watchfire scraped', [up('watchfire', 'b:1', 100), up('watchfire', 'a:1', 99)], [target('watchfire', 'b:1')], ['instance=a:1']],
  ['after a restart on another port', [up('watchfire', 'a:1', 40), up('watchfire', 'a:2', 99)], [], ['instance=a:2']],
  ['scraping itself', [up('watchfire', 'a:1', 99), up('self', 'a:1', 99)], [target('self', 'a:1')], ['instance=a:1', 'job!=self']],
]) {
  test(`own series: ${what}`, () => {
    const got = narrow({ result: series }, targets);
    assert.deepEqual(got?.map((m) => `${m.name}${m.op}${m.value}`), expected);
  });
}

test('events come whole, however the stream is cut', async () => {
  const text = ': hello\nretry: 1000\n\nevent: tick\nid: 7\ndata: {"ts":1,\ndata: "v":"a: b"}\n\ndata:x\n\nevent: half';
  for (const size of [1, 7, 1000]) {
    const bytes = new TextEncoder().encode(text);
    const parts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.slice(i * size, (i + 1) * size));
    const got = [];
    for await (const message of messages(new Response(ReadableStream.from(parts)))) got.push(message);
    assert.deepEqual(got, [
      { event: 'tick', id: '7', data: '{"ts":1,\n"v":"a: b"}' },
      { event: 'message', id: '', data: 'x' },
    ]);
  }
});
