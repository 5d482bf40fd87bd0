import { useSignal } from '@preact/signals';
import { access, useToken } from '../source/access';
import { clockTime, duration } from '../format';
import { clock, engine, source } from './state';

/** Silence that is worth a sentence. */
const SILENT_MS = 10_000;

/** What stands above everything else: that the daemon wants a token, or that nothing comes. */
export function Notice() {
  if (access.value !== 'open') return <TokenForm refused={access.value === 'refused'} />;
  return <Silence />;
}

function Silence() {
  void clock.value;
  const silent = performance.now() - source.lastAlive;
  if (source.paused.value || source.live.value || silent < SILENT_MS) return null;
  return (
    <p class="notice" role="status">
      <strong>No sample for {duration(silent / 1000)}.</strong>{' '}
      {engine.now ? `What you see is from ${clockTime(engine.now / 1000)}; the page` : 'The page'} goes on asking the daemon.
    </p>
  );
}

/** With a token file everything but the page itself needs the token. */
function TokenForm({ refused }: { refused: boolean }) {
  const text = useSignal('');
  const send = (event: Event): void => {
    event.preventDefault();
    if (text.value.trim()) useToken(text.value);
  };
  return (
    <form class="notice" onSubmit={send}>
      <label for="token">
        <strong>{refused ? 'The daemon refused this token.' : 'This watchfire wants a token.'}</strong>{' '}
        It is the first line of the file that <code>--web.token-file</code> names. This tab keeps it until it is closed.
      </label>
      <span class="notice-row">
        <input
          id="token"
          type="password"
          autocomplete="off"
          aria-invalid={refused}
          value={text.value}
          onInput={(e) => (text.value = e.currentTarget.value)}
        />
        <button type="submit">Open</button>
      </span>
    </form>
  );
}
