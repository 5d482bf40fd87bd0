import { effect } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { alertState } from '../alerts';
import { duration } from '../format';
import { theme, toggleTheme } from '../theme';
import { Icon } from './icons';
import { clock, engine, source, width } from './state';

const WIDTHS: [number, string][] = [[60, '1 m'], [300, '5 m'], [600, '10 m']];

export function Header() {
  useEffect(
    () =>
      effect(() => {
        const firing = alertState.value.alerts.filter((a) => a.state === 'firing').length;
        document.title = firing ? `(${firing}) watchfire` : 'watchfire';
      }),
    [],
  );
  return (
    <header class="top">
      <a class="brand" href="#top">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <path class="flame" d="M17 2c1 5-6 8-6 14 0 2 1 3 2 4-3-1-5-3-5-6-2 2-3 4-3 7 0 6 5 9 11 9s11-4 11-10c0-5-3-7-4-11-1 2-1 3-2 4-1-4-1-8-4-11z" />
          <path class="ember" d="M16 17c1 3-4 4-4 8 0 3 2 4 4 4s5-1 5-5c0-3-2-4-5-7z" />
        </svg>
        <h1>watchfire</h1>
      </a>
      <Host />
      <div class="chips">
        <Demo />
        <LiveBadge />
        <SourceChip />
        <PaceChip />
        <FiringChip />
      </div>
      <div class="tools">
        <div class="segments" role="group" aria-label="Time that charts show">
          {WIDTHS.map(([seconds, words]) => (
            <button type="button" key={seconds} aria-pressed={width.value === seconds} onClick={() => (width.value = seconds)}>
              {words}
            </button>
          ))}
        </div>
        <button type="button" onClick={() => source.togglePause()} aria-pressed={source.paused.value}>
          <Icon name={source.paused.value ? 'play' : 'pause'} />
          {source.paused.value ? 'Resume' : 'Pause'}
        </button>
        <button type="button" onClick={toggleTheme} aria-label={`Use the ${theme.value === 'dark' ? 'light' : 'dark'} theme`} title="Light or dark">
          <Icon name={theme.value === 'dark' ? 'sun' : 'moon'} />
        </button>
      </div>
    </header>
  );
}

function Host() {
  const host = engine.watch('fact-host');
  const uptime = engine.watch('fact-uptime');
  void host.version.value;
  void uptime.version.value;
  const name = host.latest()[0]?.labels['nodename'] ?? location.host;
  const up = uptime.value();
  return (
    <p class="host">
      <b>{name}</b>
      {up !== undefined && <span>up {duration(up)}</span>}
    </p>
  );
}

function Demo() {
  const demo = engine.watch('fact-demo');
  void demo.version.value;
  return demo.value() === 1 ? <span class="chip demo" title="Seeded data of watchfire --demo, not this machine">Demo data</span> : null;
}

function LiveBadge() {
  void clock.value;
  const [word, why] = source.paused.value
    ? ['Paused', 'The page does not ask for data until you resume.']
    : source.live.value
      ? ['Live', 'Samples arrive.']
      : ['Idle', 'No sample has come for some seconds.'];
  return (
    <span class={`chip badge ${word.toLowerCase()}`} title={why}>
      <i aria-hidden="true" />
      {word}
    </span>
  );
}

function SourceChip() {
  const why = source.reason.value;
  return (
    <span class="chip" title={why ? `The page reads /metrics once a second: ${why}.` : 'Samples come over the live stream.'} data-source={source.name.value}>
      source: {source.name.value}
      {why && <em>{why}</em>}
    </span>
  );
}

function PaceChip() {
  const hertz = source.hertz.value;
  const [words, why] =
    hertz > 1
      ? [`${hertz} Hz live / 1 Hz history`, `CPU, memory and GPU come ${hertz} times a second, tokens as they come, for this minute alone; everything else, and all history, once a second.`]
      : ['1 Hz', width.value <= 60 ? 'Everything comes once a second.' : 'Everything comes once a second. Choose 1 m for ten samples a second.'];
  return (
    <span class="chip pace" title={why}>
      {words}
    </span>
  );
}

function FiringChip() {
  const { alerts, unavailable } = alertState.value;
  const firing = alerts.filter((a) => a.state === 'firing');
  if (unavailable) return null;
  return (
    <a class={`chip ${firing.length ? `firing sev-${firing[0]?.severity}` : ''}`} href="#alerts">
      {firing.length > 0 && <Icon name="warning" />}
      {firing.length} firing
    </a>
  );
}
