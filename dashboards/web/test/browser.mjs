// What the browser tests share: Debian's Chromium, and a list of everything that went wrong.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--hide-scrollbars',
  '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
];

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: FLAGS });
}

export class Check {
  failures = [];
  constructor(out) {
    this.out = out;
    mkdirSync(out, { recursive: true });
  }

  that(holds, what) {
    console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}`);
    if (!holds) this.failures.push(what);
  }

  /** Opens a page that reports console errors and requests that leave its origin. */
  async open(browser, url, options = {}) {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, ...options });
    const origin = new URL(url).origin;
    page.trouble = [];
    page.on('console', (m) => m.type() === 'error' && page.trouble.push(`console: ${m.text()}`));
    page.on('pageerror', (e) => page.trouble.push(`error: ${e.message}`));
    page.on('request', (r) => {
      if (new URL(r.url()).origin !== origin) page.trouble.push(`request outside the origin: ${r.url()}`);
    });
    await page.goto(url, { waitUntil: 'domcontentloaded' });
    return page;
  }

  shot(page, name, whole = true) {
    return page.screenshot({ path: join(this.out, `${name}.png`), fullPage: whole });
  }

  finish() {
    if (this.failures.length) console.log(`\n${this.failures.length} failed:\n${this.failures.join('\n')}`);
    process.exitCode = this.failures.length ? 1 : 0;
  }
}

/** The state that the page shows to tests. */
export const state = (page) => page.evaluate(() => JSON.parse(JSON.stringify(window.__watchfire)));

/** Asks again until `holds` or the time is over. (The page's security policy forbids waitForFunction.) */
export async function until(ask, holds, timeout = 20_000) {
  const end = Date.now() + timeout;
  for (;;) {
    const answer = await ask();
    if (holds(answer) || Date.now() > end) return answer;
    await new Promise((next) => setTimeout(next, 100));
  }
}

/** Waits until each of the panels has `points` live points; answers those that have not. */
export function waitForPoints(page, panels, points, timeout = 20_000) {
  const missing = () =>
    page.evaluate(
      ([ids, least]) => ids.filter((id) => (window.__watchfire?.panels[id]?.points ?? 0) < least),
      [panels, points],
    );
  return until(missing, (ids) => !ids.length, timeout);
}

/** A panel's pixels as text: two calls differ when the chart was drawn anew. */
export const pixels = (page, panel) =>
  page.evaluate((id) => document.querySelector(`#panel-${id} canvas`)?.toDataURL() ?? '', panel);

export function usage(name) {
  const [url, out] = process.argv.slice(2);
  if (!url || !out) {
    console.error(`usage: node test/${name}.mjs URL OUTDIR`);
    process.exit(2);
  }
  return [url, out];
}
