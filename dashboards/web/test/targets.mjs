// The table of scrape targets in both themes, on daemons that this script starts itself: one reads its own page and one that is
// not there, the other reads nothing.
//   node test/targets.mjs BINARY OUTDIR      exit code 1 with a list of what failed
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Check, launch, until, usage } from './browser.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const [binary, out] = usage('targets');
const folder = mkdtempSync(join(tmpdir(), 'watchfire-targets-'));
const check = new Check(out);
const browser = await launch();
let child;

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function withDaemon(config, run) {
  const port = await freePort();
  const file = join(folder, 'watchfire.yml');
  writeFileSync(file, config(port));
  child = spawn(binary, [`--web.listen-address=127.0.0.1:${port}`, '--storage.path', join(folder, 'data'), '--config.file', file], { stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}/`;
  await until(() => fetch(`${url}-/ready`).then((r) => r.ok, () => false), Boolean, 30_000);
  await run(url);
  child.kill('SIGTERM');
  await once(child, 'exit');
}

/** The table's rows as lists of texts. */
const rows = (page) =>
  page.evaluate(() => [...document.querySelectorAll('#targets tbody tr')].map((row) => [...row.children].map((cell) => cell.textContent.trim())));

const own = (port) => `scrape_configs:
- job_name: itself
  scrape_interval: 5s
  static_configs: [{targets: ['127.0.0.1:${port}']}]
- job_name: gone
  scrape_interval: 1s
  static_configs: [{targets: ['127.0.0.1:1']}]
`;

async function look(url) {
  for (const colorScheme of ['dark', 'light']) {
    const page = await check.open(browser, url, { colorScheme });
    check.that(!(await page.locator('#panel-targets').count()), `${colorScheme}: nobody asks before the section is open`);
    await page.locator('#targets > summary').click();
    // On a busy machine its own page may come too late now and then.
    const known = (list) => list.length === 2 && list[0][2] === 'down' && list[1][2] === 'up';
    const found = await until(() => rows(page), known, 60_000);
    const [down, up] = found;
    check.that(down?.[0] === 'gone' && down[2] === 'down', `${colorScheme}: what is down comes first (${found.map((r) => r.slice(0, 3)).join(' | ')})`);
    check.that(/127\.0\.0\.1:1\b/.test(down?.[1] ?? '') && (down?.[5] ?? '').length > 5, `${colorScheme}: with its address and the reason (${down?.[5]})`);
    check.that(up?.[0] === 'itself' && up[2] === 'up' && up[5] === '–', `${colorScheme}: what is up has no error (${up?.join(', ')})`);
    check.that(/^\d+ s ago$/.test(up?.[3] ?? '') && /s$/.test(up?.[4] ?? ''), `${colorScheme}: when and how long (${up?.[3]}, ${up?.[4]})`);
    check.that(/1 of 2 up/.test(await page.locator('#panel-targets .explain').innerText()), `${colorScheme}: they are counted`);
    const session = await page.context().newCDPSession(page);
    await session.send('Runtime.evaluate', { expression: AXE });
    const { violations } = await page.evaluate(() => axe.run('#targets'));
    check.that(!violations.length, `${colorScheme}: axe finds nothing (${violations.map((v) => `${v.id} at ${v.nodes[0]?.target}`).join('; ')})`);
    await page.locator('#targets').scrollIntoViewIfNeeded();
    await check.shot(page, `targets-${colorScheme}`, false);
    check.that(!page.trouble.length, `${colorScheme}: no console error (${page.trouble.join('; ')})`);
    await page.close();
  }
}

async function nothing(url) {
  const page = await check.open(browser, url);
  await page.locator('#targets > summary').click();
  const said = await until(() => page.locator('#targets .note').innerText().catch(() => ''), (text) => text.includes('No page'), 10_000);
  check.that(said.includes('scrape_configs'), `without targets the page says so (${said})`);
  await page.close();
}

try {
  await withDaemon(own, look);
  await withDaemon(() => '{}\n', nothing);
} finally {
  await browser.close();
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}
check.finish();
