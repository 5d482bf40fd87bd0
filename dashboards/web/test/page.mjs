// Opens the page of a running daemon (or of the mock) and checks what a person would see.
//   node test/page.mjs URL OUTDIR      exit code 1 with a list of what failed
// Panels that must move can be named: PANELS=cpu,memory,gpu-utilization (default: the host's four).
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Check, launch, pixels, state, until, usage, waitForPoints } from './browser.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const HOST = ['cpu', 'memory', 'disk', 'network'];

export async function pageTest(check, browser, url, panels = HOST) {
  for (const colorScheme of ['dark', 'light']) {
    const page = await check.open(browser, url, { colorScheme });
    const still = await waitForPoints(page, panels, 3);
    check.that(!still.length, `${colorScheme}: panels get live values (without: ${still.join(', ') || 'none'})`);
    const before = await Promise.all(panels.map((id) => pixels(page, id)));
    await waitForPoints(page, panels, 5);
    await page.waitForTimeout(300);
    for (const [i, id] of panels.entries()) {
      // A chart below the edge of the window is not drawn, on purpose.
      if (HOST.includes(id)) check.that(before[i] && before[i] !== (await pixels(page, id)), `${colorScheme}: the chart ${id} moves`);
    }
    const { source, live } = await state(page);
    check.that(source === 'stream' && live, `${colorScheme}: source is the stream and it is live (${source}, ${live})`);
    check.that((await page.locator('.badge').innerText()) === 'Live', `${colorScheme}: the badge says Live`);
    const theme = await page.evaluate(() => document.documentElement.dataset.theme);
    check.that(theme === colorScheme, `${colorScheme}: the theme follows the system`);
    await check.shot(page, `page-${colorScheme}`, false);
    await everything(page);
    await check.shot(page, `page-${colorScheme}-whole`);
    await accessible(check, page, colorScheme);
    check.that(!page.trouble.length, `${colorScheme}: no console error, no request outside (${page.trouble.join('; ')})`);
    await page.close();
  }
}

/** Opens what is folded and lets all charts be drawn. */
async function everything(page) {
  await page.evaluate(() => {
    for (const folded of document.querySelectorAll('.folded')) folded.open = true;
  });
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  await page.setViewportSize({ width: 1440, height });
  await page.waitForTimeout(1_500);
}

async function accessible(check, page, name) {
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: AXE });
  const { violations } = await page.evaluate(() => axe.run());
  const words = violations.map((v) => `${v.id} at ${v.nodes[0]?.target}`);
  check.that(!violations.length, `${name}: axe finds nothing (${words.join('; ')})`);
}

export async function controls(check, browser, url) {
  const page = await check.open(browser, url);
  await waitForPoints(page, HOST, 1);
  await page.getByRole('button', { name: 'Pause' }).click();
  const paused = await state(page);
  await page.waitForTimeout(2_500);
  check.that((await state(page)).ticks === paused.ticks, 'Pause stops the data');
  await page.getByRole('button', { name: 'Resume' }).click();
  await waitForPoints(page, HOST, paused.panels.cpu.points + 2);
  check.that((await state(page)).panels.cpu.points > paused.panels.cpu.points, 'Resume brings it back');

  await page.getByRole('button', { name: 'View CPU as table' }).click();
  check.that((await page.locator('#panel-cpu tbody tr').count()) > 1, 'a chart can be read as a table');
  await page.getByRole('button', { name: 'View CPU as chart' }).click();
  await page.locator('#panel-cpu .plot').focus();
  for (let i = 0; i < 3; i += 1) await page.keyboard.press('ArrowLeft');
  await page.waitForTimeout(500);
  const said = await page.locator('[role=status]').innerText();
  check.that(/^\d\d:\d\d:\d\d: busy /.test(said), `arrow keys read values ("${said}")`);
  check.that((await page.locator('#cpu-summary').textContent()).includes('busy: now'), 'the chart has a summary in words');

  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  const before = await theme();
  await page.getByRole('button', { name: /theme/ }).click();
  check.that((await theme()) !== before, 'the toggle changes the theme');
  check.that(!page.trouble.length, `controls: no console error (${page.trouble.join('; ')})`);
  await page.close();
}

export async function phone(check, browser, url) {
  const page = await check.open(browser, url, { viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
  await waitForPoints(page, HOST, 2);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  check.that(wide <= 390, `390 px: nothing is wider than the screen (${wide})`);
  await check.shot(page, 'phone', false);
  await page.close();
}

/** A browser has six connections to one origin: streams of many tabs must not starve the next. */
export async function manyTabs(check, browser, url) {
  const context = await browser.newContext();
  const pages = [];
  for (let i = 0; i < 9; i += 1) {
    const page = await context.newPage();
    pages.push(page);
    const opened = await page.goto(url, { waitUntil: 'domcontentloaded', timeout: 10_000 }).then(() => true, () => false);
    check.that(opened, `tab ${i + 1} opens`);
  }
  const last = pages.at(-1);
  const still = await waitForPoints(last, ['cpu', 'memory'], 2, 15_000);
  check.that(!still.length, 'the tab after eight others moves');
  const old = pages[0];
  const { ticks } = await state(old);
  const now = await until(() => state(old), (s) => s.ticks > ticks, 30_000);
  check.that(now.ticks > ticks, `the first tab still moves (source ${now.source})`);
  await context.close();
}

/** Alerts, if there are any, lead to what can be done about them. */
export async function alertList(check, browser, url) {
  const page = await check.open(browser, url);
  await waitForPoints(page, ['cpu'], 1);
  const rows = page.locator('.alert-row');
  const shown = await until(() => rows.count(), (n) => n > 0, 3_000);
  if (shown) {
    const link = rows.first().locator('.runbook');
    const href = (await link.getAttribute('href').catch(() => '')) ?? '';
    await rows.first().locator('summary').click();
    check.that((await rows.first().locator('.alert-more pre').count()) === 1, 'an open alert shows its expression');
    if (href.startsWith('runbook.html#')) {
      const text = await until(() => rows.first().locator('.runbook-text').innerText(), (t) => t.includes('Do:'), 5_000);
      check.that(text.includes('Means:') && text.includes('Do:'), 'an open alert says what it means and what to do');
      const runbook = await (await fetch(new URL(href, url))).text();
      check.that(runbook.includes(`id="${href.split('#')[1]}"`), `the runbook has the section ${href}`);
    }
  }
  check.that(!page.trouble.length, `alerts (${shown}): no console error (${page.trouble.join('; ')})`);
  await page.close();
}

/** What goes over the wire before the page can draw. */
export async function weight(check, browser, url) {
  const page = await check.open(browser, url);
  const files = await page.evaluate(() =>
    performance.getEntriesByType('resource').map(({ name, encodedBodySize: size, decodedBodySize: whole }) => ({ name, size, whole })),
  );
  for (const [end, limit] of [['.js', 60_000], ['.css', 10_000]]) {
    const found = files.filter((f) => f.name.endsWith(end) && f.size < f.whole);
    const size = found.reduce((sum, f) => sum + f.size, 0);
    if (found.length) check.that(size <= limit, `${end} is ${size} bytes, at most ${limit}`);
  }
  await page.close();
}

export async function firstDraw(check, browser, url) {
  const page = await check.open(browser, url);
  await waitForPoints(page, ['cpu'], 1);
  const ms = await page.evaluate(() => Math.round(performance.getEntriesByName('watchfire-first-chart')[0]?.startTime));
  console.log(`     first chart drawn ${ms} ms after navigation`);
  check.that(ms < 3_000, 'the first chart is drawn within three seconds on a busy machine');
  await page.close();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [url, out] = usage('page');
  const check = new Check(out);
  const browser = await launch();
  await pageTest(check, browser, url, process.env.PANELS?.split(','));
  await controls(check, browser, url);
  await phone(check, browser, url);
  await alertList(check, browser, url);
  await weight(check, browser, url);
  await manyTabs(check, browser, url);
  await firstDraw(check, browser, url);
  await browser.close();
  check.finish();
}
