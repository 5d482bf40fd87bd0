// The pictures of the README, from a `watchfire --demo` that has run for ten minutes.
//   node test/screenshots.mjs URL OUTDIR
import { Check, launch, usage, waitForPoints } from './browser.mjs';

const [url, out] = usage('screenshots');
const check = new Check(out);
const browser = await launch();
for (const [name, width, height] of [['page', 1280, 1000], ['phone', 390, 844]]) {
  for (const colorScheme of ['light', 'dark']) {
    const page = await check.open(browser, url, { viewport: { width, height }, colorScheme });
    await waitForPoints(page, ['cpu', 'memory', 'disk', 'network'], 6);
    await check.shot(page, `${name}-${colorScheme}`, false);
    await page.close();
  }
}
await browser.close();
check.finish();
