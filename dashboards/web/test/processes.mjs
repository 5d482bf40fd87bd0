// The table of processes: every column sorts, by mouse and keyboard, in both themes.
//   node test/processes.mjs URL OUTDIR      exit code 1 with a list of what failed
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Check, launch, until, usage, waitForPoints } from './browser.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Column titles by the word that the daemon sorts by, and the field that it must be sorted by. */
const COLUMNS = {
  Name: ['name', 'name'], PID: ['pid', 'pid'], User: ['user', 'user'], Group: ['group', 'group'], State: ['state', 'state'],
  CPU: ['cpu', 'cpu_percent'], Memory: ['rss', 'rss_bytes'], Share: ['pss', 'pss_bytes'], Threads: ['threads', 'threads'],
  Files: ['fds', 'open_fds'], Read: ['read', 'read_bytes_per_second'], Written: ['write', 'write_bytes_per_second'],
  Age: ['start', 'start_time'], Command: ['cmdline', 'cmdline'],
};

/** Whether what is known stands in order, and what is not known last. */
function inOrder(values, up) {
  const first = values.findIndex((v) => v === null);
  const known = first < 0 ? values : values.slice(0, first);
  if (first >= 0 && values.slice(first).some((v) => v !== null)) return false;
  // Text as bytes, as the daemon compares it.
  const less = (a, b) => (typeof a === 'string' ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : a - b);
  return known.every((v, i) => i === 0 || (up ? less(known[i - 1], v) <= 0 : less(known[i - 1], v) >= 0));
}

export async function processTable(check, browser, url) {
  for (const colorScheme of ['dark', 'light']) {
    const page = await check.open(browser, url, { colorScheme });
    await waitForPoints(page, ['cpu'], 1);
    // The last answer, and what was asked for.
    let answer;
    page.on('response', async (response) => {
      if (!response.url().includes('/processes?')) return;
      const query = new URL(response.url()).searchParams;
      const { data } = await response.json().catch(() => ({}));
      if (data) answer = { sort: query.get('sort'), up: query.get('order') === 'asc', data };
    });
    await page.locator('#processes > summary').click();
    const table = page.locator('#processes table');
    await until(() => table.count(), (n) => n > 0);
    check.that((await table.locator('tbody tr').count()) > 0, `${colorScheme}: the table has rows`);
    for (const [title, [sort, field]] of Object.entries(COLUMNS)) {
      const header = table.getByRole('columnheader', { name: title, exact: true });
      for (const press of ['mouse', 'keyboard']) {
        const button = header.getByRole('button');
        if (press === 'mouse') await button.click();
        else {
          await button.focus();
          await page.keyboard.press('Enter');
        }
        const said = await until(() => header.getAttribute('aria-sort'), (s) => s !== 'none', 5_000);
        const up = said === 'ascending';
        const got = await until(() => Promise.resolve(answer), (a) => a?.sort === sort && a.up === up, 8_000);
        check.that(got?.sort === sort && got.up === up, `${colorScheme}: ${title} by ${press}: the daemon is asked for ${sort} ${said}`);
        if (!got || got.sort !== sort) continue;
        const values = got.data.map((p) => p[field]);
        check.that(inOrder(values, up), `${colorScheme}: ${title} by ${press} is ${said} (${values.slice(0, 4).join(', ')}…)`);
        const pids = () => table.locator('tbody tr td:nth-child(2)').allInnerTexts();
        const shown = await until(pids, (texts) => texts.join() === answer.data.map((p) => String(p.pid)).join(), 5_000);
        check.that(shown.join() === answer.data.map((p) => String(p.pid)).join(), `${colorScheme}: ${title} by ${press}: rows stand in that order`);
      }
      const marked = await table.locator('th[aria-sort="ascending"], th[aria-sort="descending"]').count();
      check.that(marked === 1, `${colorScheme}: one column is marked as sorted (${marked})`);
    }
    const session = await page.context().newCDPSession(page);
    await session.send('Runtime.evaluate', { expression: AXE });
    const { violations } = await page.evaluate(() => axe.run('#processes'));
    const words = violations.map((v) => `${v.id} at ${v.nodes[0]?.target}`);
    check.that(!violations.length, `${colorScheme}: axe finds nothing in the table (${words.join('; ')})`);
    await page.locator('#processes').scrollIntoViewIfNeeded();
    await check.shot(page, `processes-${colorScheme}`, false);
    check.that(!page.trouble.length, `${colorScheme}: no console error (${page.trouble.join('; ')})`);
    await page.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [url, out] = usage('processes');
  const check = new Check(out);
  const browser = await launch();
  await processTable(check, browser, url);
  await browser.close();
  check.finish();
}
