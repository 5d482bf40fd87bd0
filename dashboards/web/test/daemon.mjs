// The page on real daemons that this script starts and stops itself: a route prefix beside a scraped node_exporter, a
// stream that breaks, a daemon that goes away and comes back, a token.
//   node test/daemon.mjs BINARY OUTDIR
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Check, launch, state, until, waitForPoints } from './browser.mjs';

const [binary, out] = process.argv.slice(2);
if (!binary || !out) {
  console.error('usage: node test/daemon.mjs BINARY OUTDIR');
  process.exit(2);
}
const HOST = ['cpu', 'memory'];
const folder = mkdtempSync(join(tmpdir(), 'watchfire-page-'));
const running = new Set();
const check = new Check(out);
const browser = await launch();

/** A port that is free now; the daemon that goes away must come back to the same one. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function answers(url) {
  const ready = await until(() => fetch(url).then((r) => r.ok, () => false), Boolean, 30_000);
  if (!ready) throw new Error(`${url} does not answer`);
}

function run(program, args) {
  const child = spawn(program, args, { stdio: 'ignore' });
  running.add(child);
  child.on('exit', () => running.delete(child));
  child.on('error', () => running.delete(child));
  return child;
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

async function daemon(name, port, args = [], prefix = '') {
  const child = run(binary, [`--web.listen-address=127.0.0.1:${port}`, '--storage.path', join(folder, name), ...args]);
  await answers(`http://127.0.0.1:${port}${prefix}/-/ready`);
  return child;
}

/** Only this machine's own series are drawn, although the ring holds those of an exporter, too. */
async function besideAnExporter() {
  const [port, other] = [await freePort(), await freePort()];
  const exporter = run('prometheus-node-exporter', [`--web.listen-address=127.0.0.1:${other}`]);
  const there = await answers(`http://127.0.0.1:${other}/metrics`).then(() => true, () => false);
  if (!there) return console.log('SKIPPED: prometheus-node-exporter is missing');
  const config = join(folder, 'exporter.yml');
  writeFileSync(config, `scrape_configs:\n- job_name: box\n  scrape_interval: 1s\n  static_configs: [{targets: ['127.0.0.1:${other}']}]\n`);
  const child = await daemon('exporter', port, ['--config.file', config, '--web.route-prefix=/deep/wf'], '/deep/wf');
  const api = `http://127.0.0.1:${port}/deep/wf/api/v1/query?query=`;
  const count = (query) => fetch(api + encodeURIComponent(query)).then((r) => r.json()).then((j) => Number(j.data.result[0]?.value[1]));
  const loads = await until(() => count('count(node_load1)'), (n) => n === 2, 15_000);
  check.that(loads === 2, `beside an exporter: the ring holds both (${loads} node_load1)`);
  const page = await check.open(browser, `http://127.0.0.1:${port}/deep/wf/`);
  const still = await waitForPoints(page, HOST, 3);
  check.that(!still.length, `beside an exporter, under a prefix: panels move (without: ${still.join(', ') || 'none'})`);
  const { series, source, panels } = await state(page);
  const all = await count('count({__name__=~"node_cpu_seconds_total|node_load1",job="node"})');
  const streamed = await page.evaluate(() => ['node_cpu_seconds_total', 'node_load1'].flatMap((m) => window.__watchfire.labels(m)));
  check.that(streamed.length === all, `only own series are streamed (${streamed.length} of ${all}, ${series} in all, by ${source})`);
  check.that(streamed.every((l) => l.job === 'node'), 'and they are of the own job');
  const cores = panels['tile-cpu'].values.find(([, v], i) => i === 2 && v)?.[1];
  const own = await count('count(node_cpu_seconds_total{job="node",mode="idle"})');
  check.that(cores === own, `the tile counts this machine's cores (${cores} of ${own})`);
  check.that(!page.trouble.length, `beside an exporter: no console error (${page.trouble.join('; ')})`);
  await page.close();
  await stop(child);
  await stop(exporter);
}

async function comesAndGoes() {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  let child = await daemon('returns', port);
  const page = await check.open(browser, url);
  await waitForPoints(page, HOST, 3);
  await stop(child);
  await page.waitForSelector('#panel-cpu.stale', { timeout: 25_000 }).catch(() => undefined);
  check.that(await page.locator('#panel-cpu.stale').count(), 'stopped: the chart is stale after 10 s');
  const dim = await page.locator('#panel-cpu .plot').evaluate((e) => Number(getComputedStyle(e).opacity));
  check.that(dim < 0.6, `stopped: and dimmed (${dim})`);
  check.that((await page.locator('.badge').innerText()) === 'Idle', 'stopped: the badge says Idle');
  const notice = await page.locator('.notice').innerText().catch(() => '');
  check.that(/No sample for 1\d s/.test(notice), `stopped: a sentence says so ("${notice}")`);
  await check.shot(page, 'stopped', false);
  child = await daemon('returns', port);
  const { panels } = await state(page);
  const back = await until(() => state(page), (s) => s.source === 'stream' && s.live && s.panels.cpu.points > panels.cpu.points + 2, 20_000);
  check.that(back.source === 'stream' && back.live, `started again: the stream is back (${back.source}, ${back.live})`);
  check.that(await page.locator('#panel-cpu.fresh').count(), 'started again: the chart is fresh');
  check.that(!(await page.locator('.notice').count()), 'started again: the sentence is gone');
  await page.close();
  await stop(child);
}

async function losesItsStream() {
  const port = await freePort();
  const child = await daemon('stream', port);
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.route('**/api/watchfire/v1/live*', (route) => route.abort());
  await page.goto(`http://127.0.0.1:${port}/`, { waitUntil: 'domcontentloaded' });
  const still = await waitForPoints(page, HOST, 3);
  check.that(!still.length, `without the stream: panels move (without: ${still.join(', ') || 'none'})`);
  const chips = await page.locator('.chips').innerText();
  check.that(/source: metrics/.test(chips) && /no live stream/.test(chips), `without the stream: the page says so (${chips.replace(/\n/g, ' ')})`);
  await check.shot(page, 'no-stream', false);
  await page.close();
  await stop(child);
}

async function wantsAToken() {
  const port = await freePort();
  const file = join(folder, 'token.txt');
  writeFileSync(file, 'correct horse battery\n');
  const child = await daemon('token', port, ['--web.token-file', file]);
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(`http://127.0.0.1:${port}/`, { waitUntil: 'domcontentloaded' });
  await page.locator('#token').fill('wrong horse battery');
  await page.getByRole('button', { name: 'Open' }).click();
  const refused = await until(() => page.locator('.notice').innerText(), (text) => text.includes('refused'), 5_000);
  check.that(refused.includes('refused'), `token: a wrong one is refused in words ("${refused.slice(0, 40)}…")`);
  await check.shot(page, 'token', false);
  await page.locator('#token').fill('correct horse battery');
  await page.getByRole('button', { name: 'Open' }).click();
  const still = await waitForPoints(page, HOST, 3);
  const { source } = await state(page);
  check.that(!still.length && source === 'stream', `token: the right one opens stream and history (${source})`);
  check.that(!(await page.locator('.notice').count()), 'token: the question is gone');
  await page.close();
  await stop(child);
}

try {
  await besideAnExporter();
  await comesAndGoes();
  await losesItsStream();
  await wantsAToken();
} finally {
  await browser.close();
  for (const child of [...running]) await stop(child);
  rmSync(folder, { recursive: true, force: true });
}
check.finish();
