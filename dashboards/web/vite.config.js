import { readFileSync } from 'node:fs';
import { defineConfig } from 'vite';

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

export default defineConfig({
  // Relative addresses: the page also lives under --web.route-prefix.
  base: './',
  plugins: [notices()],
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
      ['/metrics', '/api', '/-'].map((path) => [path, 'http://127.0.0.1:9480']),
    ),
  },
});
