import { readFileSync } from 'node:fs';
import { defineConfig } from 'vite';
import { runbookPage } from './runbook.js';

/** The notices of what the bundle contains travel with it. */
const BUNDLED = ['preact', '@preact/signals', '@preact/signals-core', 'uplot'];

function notices() {
  return {
    name: 'notices',
    generateBundle() {
      const texts = BUNDLED.map((name) => {
        const folder = new URL(`./node_modules/${name}/`, import.meta.url);
        const { version } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8'));
        const licence = readFileSync(new URL('LICENSE', folder), 'utf8').trim();
        return `${name} ${version}\n\n${licence}\n`;
      });
      this.emitFile({ type: 'asset', fileName: 'licenses.txt', source: texts.join('\n----\n\n') });
    },
  };
}

/** What to do about each shipped alert, as a page beside the page. */
function runbook() {
  return {
    name: 'runbook',
    generateBundle() {
      const text = readFileSync(new URL('../../docs/runbook.md', import.meta.url), 'utf8');
      this.emitFile({ type: 'asset', fileName: 'runbook.html', source: runbookPage(text) });
    },
  };
}

export default defineConfig({
  // Relative addresses: the page also lives under --web.route-prefix.
  base: './',
  plugins: [notices(), runbook()],
  build: {
    target: 'es2022',
    // data: addresses would need a wider content security policy.
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: false,
    reportCompressedSize: true,
  },
  server: {
    fs: { allow: ['..'] },
    proxy: Object.fromEntries(
      ['/metrics', '/api', '/-', '/runbook.html'].map((path) => [path, 'http://127.0.0.1:9480']),
    ),
  },
});
