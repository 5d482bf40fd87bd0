// How evenly the page draws: frames on time with a dozen charts on screen, script time of a frame that draws, and the time from
// navigation to the first chart.
//   node test/frames.mjs URL [SECONDS]      prints one line of numbers; judges nothing; VIEW='1 m' looks at the live view
import { availableParallelism, loadavg } from 'node:os';
import { launch, state, until, waitForPoints } from './browser.mjs';

const [url, seconds = '15'] = process.argv.slice(2);
if (!url) {
  console.error('usage: node test/frames.mjs URL [SECONDS]');
  process.exit(2);
}
const FRAME_MS = 1000 / 60;
const RUNS = 5;
const browser = await launch();

const first = [];
for (let i = 0; i < RUNS; i += 1) {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  await waitForPoints(page, ['cpu'], 1);
  first.push(await page.evaluate(() => performance.getEntriesByName('watchfire-first-chart')[0]?.startTime ?? NaN));
  await page.close();
}

const page = await browser.newPage({ viewport: { width: 1440, height: 1500 } });
await page.goto(url, { waitUntil: 'domcontentloaded' });
await waitForPoints(page, ['cpu'], 8);
if (process.env.VIEW) {
  await page.getByRole('button', { name: process.env.VIEW, exact: true }).click();
  await until(() => state(page), (s) => s.hertz > 1 && s.fastTicks > 100, 30_000);
}
const got = await page.evaluate(
  (ms) =>
    new Promise((done) => {
      const deltas = [];
      const began = performance.now();
      let last = began;
      const frame = (at) => {
        deltas.push(at - last);
        last = at;
        if (at - began < ms) requestAnimationFrame(frame);
        else done({ deltas: deltas.slice(2), draws: window.__watchfire.drawMs, charts: [...document.querySelectorAll('.plot')].filter((e) => e.getBoundingClientRect().top < innerHeight).length });
      };
      requestAnimationFrame(frame);
    }),
  Number(seconds) * 1000,
);
await browser.close();

const missed = got.deltas.reduce((sum, d) => sum + Math.max(0, Math.round(d / FRAME_MS) - 1), 0);
const quantile = (list, q) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * q))];
const ms = (v) => `${v?.toFixed(1)} ms`;
console.log(
  `first chart ${ms(quantile(first, 0.5))} (median of ${RUNS}, least ${ms(Math.min(...first))}); ${got.charts} charts live: ` +
    `${((100 * got.deltas.length) / (got.deltas.length + missed)).toFixed(2)} % of ${got.deltas.length + missed} frames on time, ` +
    `script of a drawing frame p50 ${ms(quantile(got.draws, 0.5))}, p95 ${ms(quantile(got.draws, 0.95))}; ` +
    `load ${loadavg()[0]?.toFixed(1)} on ${availableParallelism()} cores`,
);
