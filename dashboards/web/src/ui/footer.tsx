import { format } from '../format';
import { engine } from './state';

/** What the watcher itself costs, and where else its data is. */
export function Footer() {
  const [version, cpu, memory] = ['version', 'self-cpu', 'self-memory'].map((id) => engine.watch(`fact-${id}`));
  void [version?.version.value, cpu?.version.value, memory?.version.value];
  return (
    <footer>
      <p>
        watchfire {version?.latest()[0]?.labels['version'] ?? ''} itself uses{' '}
        <b>{format(cpu?.value(), 'ratio')}</b> of a core and <b>{format(memory?.value(), 'bytes')}</b> of memory.
        Everything here is served by this machine; nothing leaves it.
      </p>
      <nav aria-label="Other views of the data">
        <a href="metrics">/metrics</a>
        <a href="api/v1/rules">rules</a>
        <a href="api/v1/alerts">alerts</a>
        <a href="api/v1/targets">targets</a>
        <a href="debug/pprof/">profiles</a>
        <a href="licenses.txt">licences</a>
      </nav>
    </footer>
  );
}
