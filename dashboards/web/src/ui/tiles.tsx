import { useEffect, useRef } from 'preact/hooks';
import { alertState } from '../alerts';
import { loop } from '../chart/loop';
import { Spark } from '../chart/spark';
import { tiles, type TileDef } from '../data/panels';
import { format } from '../format';
import { theme } from '../theme';
import { freshness } from './freshness';
import { Icon } from './icons';
import { reveal } from './reveal';
import { engine, source, span, width } from './state';

/** The machine at a glance. */
export function Tiles() {
  return (
    <section class="tiles" aria-label="Summary">
      {tiles.map((def) => <Tile key={def.id} def={def} />)}
      <AlertTile />
    </section>
  );
}

function Tile({ def }: { def: TileDef }) {
  const watch = engine.watch(`tile-${def.id}`);
  const fresh = freshness(watch);
  const has = fresh.state === 'fresh' || fresh.state === 'stale';
  const notes = def.notes.flatMap((note, i) => {
    const value = watch.value(i + 1);
    return value === undefined ? [] : [note.text.replace('{}', format(value, note.unit))];
  });
  return (
    <a class={`card tile ${fresh.state}`} href={`#panel-${def.to}`} title={def.explain} onClick={(e) => reveal(e, def.to)}>
      <span class="tile-title">{def.title}</span>
      {has ? <Big text={format(watch.value(), def.unit)} /> : <span class="tile-absent">Not available</span>}
      <span class="tile-notes">{has ? notes.join(' · ') : fresh.state === 'waiting' ? 'waiting' : def.absent}</span>
      <TileSpark def={def} />
    </a>
  );
}

/** The number large, its unit small. */
function Big({ text }: { text: string }) {
  const cut = text.lastIndexOf(' ');
  return (
    <span class="tile-value">
      {cut < 0 ? text : text.slice(0, cut)}
      {cut >= 0 && <small> {text.slice(cut + 1)}</small>}
    </span>
  );
}

function TileSpark({ def }: { def: TileDef }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current as HTMLCanvasElement;
    const spark = new Spark(element, engine.watch(`tile-${def.id}`).data, span, def.max);
    loop.add(element, spark);
    const touch = (): void => loop.touch(spark);
    const undo = [theme.subscribe(touch), width.subscribe(touch)];
    return () => {
      for (const stop of undo) stop();
      loop.remove(element);
      spark.destroy();
    };
  }, []);
  return <canvas class="spark" ref={canvas} aria-hidden="true" />;
}

function AlertTile() {
  const { alerts, rules, unavailable } = alertState.value;
  const why = source.forced ? 'needs the API' : 'waiting';
  const firing = alerts.filter((a) => a.state === 'firing');
  const pending = alerts.length - firing.length;
  const worst = firing[0]?.severity ?? 'ok';
  const notes = [`${pending} pending`, ...(rules === undefined ? [] : [`${rules} rules`])];
  const names = [...new Set(firing.map((a) => a.name))];
  return (
    <a class={`card tile alert-tile ${unavailable ? '' : firing.length ? `sev-${worst}` : 'sev-ok'}`} href="#alerts">
      <span class="tile-title">Alerts</span>
      {unavailable ? (
        <span class="tile-absent">Not available</span>
      ) : (
        <span class="tile-value">
          {firing.length} <small>firing</small>
          {!firing.length && <Icon name="ok" />}
        </span>
      )}
      <span class="tile-notes">{unavailable ? why : notes.join(' · ')}</span>
      {names.length > 0 && (
        <span class="tile-names">
          {names[0]}
          {names.length > 1 && ` +${names.length - 1}`}
        </span>
      )}
    </a>
  );
}
