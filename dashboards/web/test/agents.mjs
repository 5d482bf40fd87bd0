// Workers that tell about themselves, on the page of a running daemon, in both themes.
//   node test/agents.mjs URL OUTDIR      exit code 1 with a list of what failed
import { Check, launch, until, usage, waitForPoints } from './browser.mjs';

const [url, out] = usage('agents');
const check = new Check(out);
const browser = await launch();

const WORKERS = {
  coder: { status: 'running', pid: process.pid, tokens: { current_run: 1250, total_session: 500, limit: 2000 }, queue: 2, in_flight: 1 },
  reviewer: { status: 'paused', tokens: { current_run: 7 } },
  sleeper: { status: 'idle', ttl_seconds: 0.5, tokens: { limit: 0, current_run: 1 } },
};

async function beat() {
  for (const [id, body] of Object.entries(WORKERS)) {
    const headers = { 'content-type': 'application/json' };
    const sent = { project: 'page', run_id: 'r1', ...body };
    const answer = await fetch(`${url}api/watchfire/v1/workers/${id}`, { method: 'POST', headers, body: JSON.stringify(sent) });
    if (!answer.ok) throw new Error(`${id}: ${answer.status} ${await answer.text()}`);
  }
}

/** The table as text: a map from the row's name to its cells by column. */
const table = (page) =>
  page.evaluate(() => {
    const found = document.querySelector('#panel-agent-table');
    const texts = (row) => [...row.children].map((cell) => cell.textContent.trim());
    const [, ...columns] = found ? texts(found.querySelector('thead tr')) : [''];
    const rows = [...(found?.querySelectorAll('tbody tr') ?? [])].map(texts);
    return Object.fromEntries(rows.map(([name, ...cells]) => [name, Object.fromEntries(columns.map((c, i) => [c, cells[i]]))]));
  });

const quiet = await check.open(browser, url);
await waitForPoints(quiet, ['cpu'], 2);
check.that(!(await quiet.locator('#panel-agent-table').count()), 'without heartbeats there is no table of agents');
await quiet.close();

await beat();
const timer = setInterval(() => beat().catch(() => undefined), 1_000);
for (const colorScheme of ['dark', 'light']) {
  const page = await check.open(browser, url, { colorScheme });
  const full = (rows) => rows.coder?.CPU && rows.coder.CPU !== '–' && rows.reviewer && rows.sleeper?.Reapable === 'yes';
  const rows = await until(() => table(page), full, 30_000);
  const expected = {
    coder: { Status: 'running', Used: '25 %', Queue: '2', 'In flight': '1', Reapable: 'no', Zombie: 'no' },
    reviewer: { Status: 'paused', Used: '–', Queue: '–', Reapable: 'no', CPU: '–' },
    sleeper: { Status: 'idle', Used: '–', Reapable: 'yes' },
  };
  for (const [name, cells] of Object.entries(expected)) {
    for (const [column, text] of Object.entries(cells)) {
      check.that(rows[name]?.[column] === text, `${colorScheme}: ${name}'s ${column} is ${text} (${rows[name]?.[column]})`);
    }
  }
  check.that(/[KMG]iB$/.test(rows.coder?.Memory ?? ''), `${colorScheme}: the memory of the process is there (${rows.coder?.Memory})`);
  check.that(!page.trouble.length, `${colorScheme}: no console error (${page.trouble.join('; ')})`);
  await page.locator('#panel-agent-table').scrollIntoViewIfNeeded().catch(() => undefined);
  await check.shot(page, `agents-${colorScheme}`, false);
  await page.close();
}

clearInterval(timer);
const last = await check.open(browser, url);
await until(() => table(last), (rows) => rows.coder, 20_000);
await fetch(`${url}api/watchfire/v1/workers/coder`, { method: 'DELETE' });
const rest = await until(() => table(last), (rows) => !rows.coder || rows.coder.Status === '–', 30_000);
check.that(!rest.coder || rest.coder.Status === '–', `who signed off does nothing any more (${JSON.stringify(rest.coder)})`);
await last.close();
await browser.close();
check.finish();
