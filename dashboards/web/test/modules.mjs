// Loads the page's TypeScript modules into node, by the compiler that builds the page.
import { fileURLToPath } from 'node:url';
import { createServer } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));

export async function modules(...paths) {
  const server = await createServer({
    root,
    configFile: false,
    logLevel: 'error',
    appType: 'custom',
    optimizeDeps: { noDiscovery: true },
    server: { middlewareMode: true, hmr: false, ws: false, watch: null, fs: { allow: ['..'] } },
  });
  const loaded = await Promise.all(paths.map((path) => server.ssrLoadModule(`/src/${path}.ts`)));
  return { loaded, close: () => server.close() };
}
