// The live view: ten samples a second while the last minute is looked at, one otherwise, and none asked for by a tab that
// is hidden or closed.
//   node test/live.mjs URL OUTDIR
import { Check, launch, state, until, usage, waitForPoints } from './browser.mjs';

const [url, out] = usage('live');
const check = new Check(out);
const browser = await launch();

/** What the daemon samples for pages now, from its own metrics. */
const hertz = async () => {
  const text = await (await fetch(new URL('metrics', url))).text();
  return Number(/^watchfire_live_hertz (\S+)/m.exec(text)?.[1] ?? NaN);
};
const becomes = async (wanted, what) => {
  const now = await until(hertz, (hz) => hz === wanted, 10_000);
  check.that(now === wanted, `${what}: the daemon samples at ${wanted} Hz (${now})`);
};
const chip = (page) => page.locator('.pace').innerText();
const hide = (page, hidden) =>
  page.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { configurable: true, value });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);

const page = await check.open(browser, url);
await waitForPoints(page, ['cpu', 'memory'], 3);
check.that((await chip(page)) === '1 Hz', `ten minutes are shown at 1 Hz (${await chip(page)})`);
await becomes(1, 'ten minutes');

await page.getByRole('button', { name: '1 m', exact: true }).click();
await becomes(10, 'the last minute');
const before = (await state(page)).fastTicks;
const fast = await until(() => state(page), (s) => s.fastTicks >= before + 30 && s.hertz === 10);
check.that(fast.fastTicks >= before + 30, `samples come between ticks (${fast.fastTicks - before})`);
const words = await until(() => chip(page), (text) => text !== '1 Hz', 5_000);
check.that(words === '10 Hz live / 1 Hz history', `the page says so ("${words}")`);
for (const id of ['cpu', 'memory']) {
  // Rates need a second before their first row.
  const { times } = await until(
    () => page.evaluate((panel) => window.__watchfire.fine(panel), id),
    (fine) => fine.times.length > 40,
    10_000,
  );
  const steps = times.slice(-20).map((t, i, all) => (i ? Math.round((t - all[i - 1]) * 1000) : 100));
  const median = [...steps].sort((a, b) => a - b)[10];
  check.that(median === 100, `${id}: rows are a tenth of a second apart (${median} ms)`);
  check.that(times.length > 40 && times[times.length - 1] - times[0] > 4, `${id}: after the minute's history (${times.length} rows)`);
}
const cpu = await page.evaluate(() => window.__watchfire.fine('cpu').values.slice(-20));
check.that(cpu.every((v) => v >= 0 && v <= 1), 'a share of the CPU is one at 10 Hz, too');
const rows = await until(() => page.locator('#panel-windows-table tbody tr').count(), (n) => n > 3, 10_000);
check.that(rows > 3, `the rolling windows are shown (${rows} signals)`);
const frames = await until(
  () => page.locator('#panel-windows-table').innerText().catch(() => ''),
  (text) => text.includes('frame_seconds'),
  15_000,
);
check.that(frames.includes('frame_seconds'), 'and the times of the page\'s own frames are among them');
check.that(frames.includes('loopback_bytes_per_second'), 'and the loopback is apart');
await check.shot(page, 'live', false);

await hide(page, true);
await becomes(0, 'the tab is hidden');
await hide(page, false);
await becomes(10, 'the tab is back');
await until(() => state(page), (s) => s.hertz === 10);
await page.getByRole('button', { name: '10 m' }).click();
await becomes(1, 'ten minutes again');
check.that((await until(() => chip(page), (text) => text === '1 Hz', 5_000)) === '1 Hz', 'the page says 1 Hz');
const points = (await state(page)).panels.cpu.points;
await waitForPoints(page, ['cpu'], points + 2);
const gaps = await page.evaluate(() => window.__watchfire.gaps('cpu').slice(-15));
check.that(gaps.every((gap) => gap > 0.5), `the ten minutes have a row a second, also where samples came fast (${Math.min(...gaps)})`);

await page.getByRole('button', { name: '1 m', exact: true }).click();
await becomes(10, 'the last minute again');
check.that(!page.trouble.length, `no console error (${page.trouble.join('; ')})`);
await page.close();
await becomes(0, 'the tab is closed');

const polling = await check.open(browser, `${url}?source=metrics`);
await polling.getByRole('button', { name: '1 m', exact: true }).click();
await waitForPoints(polling, ['cpu'], 3);
check.that((await chip(polling)) === '1 Hz', 'without the stream the live view has one sample a second, and says so');
await becomes(0, 'a page without the stream');
await polling.close();
await browser.close();
check.finish();
