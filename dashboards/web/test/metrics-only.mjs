// The page with everything blocked but its assets and /metrics: `?source=metrics`.
//   node test/metrics-only.mjs URL OUTDIR
// Panels that must move: PANELS=… (default: one of CPU, memory, workers, GPU and models each).
import { fileURLToPath } from 'node:url';
import { Check, launch, pixels, state, usage, waitForPoints } from './browser.mjs';

const WANTED = ['cpu', 'memory', 'worker-cpu', 'worker-memory', 'gpu-utilization', 'gpu-memory', 'model-decode', 'model-running'];

export async function metricsOnly(check, browser, url, panels = WANTED) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 2600 } });
  const page = await context.newPage();
  const base = new URL(url);
  const blocked = [];
  const trouble = [];
  page.on('console', (m) => m.type() === 'error' && trouble.push(m.text()));
  page.on('pageerror', (e) => trouble.push(e.message));
  await page.route('**/*', (route) => {
    const asked = new URL(route.request().url());
    const path = asked.pathname.slice(base.pathname.length);
    const allowed = asked.origin === base.origin && /^$|^index\.html$|^assets\/|^favicon\.svg$|^metrics$/.test(path);
    if (allowed) return route.continue();
    blocked.push(route.request().url());
    return route.abort();
  });
  await page.goto(`${url}?source=metrics`, { waitUntil: 'domcontentloaded' });
  const still = await waitForPoints(page, panels, 3);
  check.that(!still.length, `metrics only: panels get values (without: ${still.join(', ') || 'none'})`);
  const before = await Promise.all(panels.map((id) => pixels(page, id)));
  await waitForPoints(page, panels, 5);
  await page.waitForTimeout(300);
  for (const [i, id] of panels.entries()) {
    check.that(before[i] && before[i] !== (await pixels(page, id)), `metrics only: the chart ${id} moves`);
  }
  const { source } = await state(page);
  check.that(source === 'metrics', `metrics only: the page reads /metrics (${source})`);
  check.that((await page.locator('.chips').innerText()).includes('source: metrics'), 'metrics only: the page says so');
  check.that((await page.locator('#alerts').innerText()).includes('needs the API'), 'metrics only: alerts say that they need the API');
  check.that(!blocked.length, `metrics only: nothing else was asked for (${blocked.slice(0, 3).join(' ')})`);
  check.that(!trouble.length, `metrics only: no console error (${trouble.join('; ')})`);
  await check.shot(page, 'metrics-only');
  await context.close();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [url, out] = usage('metrics-only');
  const check = new Check(out);
  const browser = await launch();
  await metricsOnly(check, browser, url, process.env.PANELS?.split(','));
  await browser.close();
  check.finish();
}
