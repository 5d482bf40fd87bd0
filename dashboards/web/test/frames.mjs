// How evenly the page draws: frames on time with a dozen charts on screen, script time of a frame that draws, and the time from
// navigation to the first chart. Beside the frames that came on time on this machine now, it tells those that the page's own work
// would have missed on an idle one: by the CPU time of its main thread's tasks.
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

const page = await browser.newPage({ viewport: { width: 1440, height: 1650 } });
await page.goto(url, { waitUntil: 'domcontentloaded' });
await waitForPoints(page, ['cpu'], 8);
if (process.env.VIEW) {
  await page.getByRole('button', { name: process.env.VIEW, exact: true }).click();
  await until(() => state(page), (s) => s.hertz > 1 && s.fastTicks > 100, 30_000);
}
await browser.startTracing(page, { categories: ['toplevel', 'disabled-by-default-devtools.timeline', '__metadata'] });
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
const { traceEvents } = JSON.parse(await browser.stopTracing());
await browser.close();

/** CPU time of the tasks of the page's main thread, in milliseconds. */
function taskTimes(events) {
  const busiest = new Map();
  for (const { ph, name, pid, tid, tdur } of events) {
    if (ph !== 'X' || !/RunTask$/.test(name) || !tdur) continue;
    const key = `${pid} ${tid}`;
    busiest.set(key, [...(busiest.get(key) ?? []), tdur / 1000]);
  }
  const mains = events.filter((e) => e.name === 'thread_name' && e.args?.name === 'CrRendererMain').map((e) => `${e.pid} ${e.tid}`);
  const lists = mains.map((key) => busiest.get(key) ?? []);
  return lists.sort((a, b) => b.length - a.length)[0] ?? [];
}

const tasks = taskTimes(traceEvents);
const lost = tasks.reduce((sum, t) => sum + Math.floor(t / FRAME_MS), 0);
const missed = got.deltas.reduce((sum, d) => sum + Math.max(0, Math.round(d / FRAME_MS) - 1), 0);
const quantile = (list, q) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * q))];
const ms = (v) => `${v?.toFixed(1)} ms`;
console.log(
  `first chart ${ms(quantile(first, 0.5))} (median of ${RUNS}, least ${ms(Math.min(...first))}); ${got.charts} charts live: ` +
    `${((100 * got.deltas.length) / (got.deltas.length + missed)).toFixed(2)} % of ${got.deltas.length + missed} frames on time, ` +
    `script of a drawing frame p50 ${ms(quantile(got.draws, 0.5))}, p95 ${ms(quantile(got.draws, 0.95))}; ` +
    `by CPU time alone ${((100 * (got.deltas.length + missed - lost)) / (got.deltas.length + missed)).toFixed(2)} %, longest task ${ms(Math.max(...tasks))} of CPU; ` +
    `load ${loadavg()[0]?.toFixed(1)} on ${availableParallelism()} cores`,
);
