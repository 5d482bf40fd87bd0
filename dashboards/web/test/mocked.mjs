// Everything that needs a daemon which can be told to misbehave: the browser tests against the mock.
//   node test/mocked.mjs OUTDIR
import { Check, launch, state, until, waitForPoints } from './browser.mjs';
import { metricsOnly } from './metrics-only.mjs';
import { start } from './mock.mjs';
import { controls, firstDraw, manyTabs, pageTest, phone } from './page.mjs';

const ALL = ['cpu', 'memory', 'disk', 'network', 'worker-cpu', 'gpu-utilization', 'model-decode', 'pressure', 'tile-cpu'];

const check = new Check(process.argv[2] ?? 'test/out');
const browser = await launch();

async function withMock(options, run) {
  const mock = await start(options);
  await run(mock);
  await mock.close();
}

await withMock({}, async (mock) => {
  await pageTest(check, browser, mock.url, ALL);
  await controls(check, browser, mock.url);
  await phone(check, browser, mock.url);
  await manyTabs(check, browser, mock.url);
  await metricsOnly(check, browser, mock.url);
  await firstDraw(check, browser, mock.url);
  await hides(mock);
  await goesStale(mock);
});
await withMock({ prefix: '/deep/watchfire' }, (mock) => moves('under a route prefix', mock, 'stream'));
await withMock({ stream: false }, (mock) => moves('without the stream', mock, 'metrics'));
await withMock({ bare: true }, saysWhatIsMissing);
await withMock({ incident: true }, bigIncident);
await browser.close();
check.finish();

async function moves(what, mock, source) {
  const page = await check.open(browser, mock.url);
  const still = await waitForPoints(page, ['cpu', 'gpu-utilization', 'model-decode'], 3);
  check.that(!still.length, `${what}: charts move (without: ${still.join(', ') || 'none'})`);
  const got = await state(page);
  check.that(got.source === source, `${what}: source is ${source} (${got.source})`);
  check.that(got.panels.cpu.rows > 200, `${what}: the past was filled in (${got.panels.cpu.rows} rows)`);
  if (source === 'stream') check.that(!page.trouble.length, `${what}: no console error (${page.trouble.join('; ')})`);
  await page.close();
}

async function goesStale(mock) {
  const page = await check.open(browser, mock.url);
  await waitForPoints(page, ['cpu'], 2);
  mock.silence(true);
  await page.waitForSelector('#panel-cpu.stale', { timeout: 20_000 }).catch(() => undefined);
  check.that(await page.locator('#panel-cpu.stale').count(), 'a chart without data for 10 s is stale');
  check.that((await page.locator('#panel-cpu .stale-note').innerText()).startsWith('stale for 1'), 'and says for how long');
  check.that((await page.locator('.badge').innerText()) === 'Idle', 'the badge says Idle');
  await check.shot(page, 'stale', false);
  mock.silence(false);
  await page.waitForSelector('#panel-cpu.fresh', { timeout: 10_000 }).catch(() => undefined);
  check.that(await page.locator('#panel-cpu.fresh').count(), 'and fresh again when data comes');
  await page.close();
}

/** A hidden tab costs nothing; when it is shown again, the hole is filled. */
async function hides(mock) {
  const page = await check.open(browser, mock.url);
  await waitForPoints(page, ['cpu'], 2);
  const hide = (hidden) =>
    page.evaluate((value) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  await hide(true);
  const open = await until(() => mock.streams.size, (n) => n === 0, 5_000);
  check.that(open === 0, `a hidden tab closes its stream (${open} open)`);
  await page.waitForTimeout(6_000);
  const { points } = (await state(page)).panels.cpu;
  await hide(false);
  await waitForPoints(page, ['cpu'], points + 2);
  const longest = await page.evaluate(() => Math.max(...window.__watchfire.gaps('cpu')));
  check.that(longest < 5, `the hole is filled when it is shown (longest gap ${longest.toFixed(1)} s)`);

  const asked = () => mock.requests.filter((path) => path.endsWith('query_range')).length;
  const before = asked();
  mock.resync();
  const after = await until(asked, (n) => n > before, 5_000);
  check.that(after > before, 'resync asks the ring again');
  check.that(!page.trouble.length, `hidden: no console error (${page.trouble.join('; ')})`);
  await page.close();
}

async function saysWhatIsMissing(mock) {
  const page = await check.open(browser, mock.url);
  await waitForPoints(page, ['cpu'], 3);
  await page.waitForTimeout(2_000);
  for (const [id, words] of [['gpu', 'libnvidia-ml'], ['models', 'llama-server'], ['workers', 'workers:']]) {
    const text = await page.locator(`#${id}`).innerText();
    check.that(text.includes('Not available') && text.includes(words), `bare: ${id} says that it is absent and why`);
  }
  const tile = await page.locator('.tile', { hasText: 'GPU' }).innerText();
  check.that(tile.includes('Not available'), 'bare: the tile of the GPU says so too');
  await check.shot(page, 'bare', false);
  await page.close();
}

async function bigIncident(mock) {
  const page = await check.open(browser, mock.url);
  await waitForPoints(page, ['cpu'], 2);
  const rows = await page.locator('.alert-row').count();
  check.that(rows === 50, `400 alerts: fifty rows first (${rows})`);
  const first = await page.locator('.alert-row').first().innerText();
  check.that(/critical/.test(first) && /firing/.test(first), 'the most severe firing one is on top');
  await check.shot(page, 'incident', false);
  await page.close();
}
