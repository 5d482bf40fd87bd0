import { useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { Chart } from '../chart/chart';
import { shown } from '../chart/lines';
import { loop } from '../chart/loop';
import type { Column } from '../data/columns';
import type { Watch } from '../data/engine';
import type { PanelDef } from '../data/panels';
import { clockTime, format, UNIT_WORD } from '../format';
import { ink, theme } from '../theme';
import { copyText } from './copy';
import { DataTable } from './datatable';
import { freshness } from './freshness';
import { Icon } from './icons';
import { engine, span, spoken, width } from './state';
import { summary } from './summary';

/** A chart with its words: title, unit, one sentence, legend with values, and the way to its query. */
export function ChartCard({ def }: { def: PanelDef }) {
  const watch = engine.watch(def.id);
  const asTable = useSignal(false);
  const cursor = useSignal<number | null>(null);
  const fresh = freshness(watch);
  const has = fresh.state === 'fresh' || fresh.state === 'stale';
  if (def.optional && !has) return null;
  const title = `${def.id}-title`;
  return (
    <figure
      class={`card chart-card ${fresh.state}`}
      id={`panel-${def.id}`}
      role="figure"
      aria-labelledby={title}
      aria-describedby={`${def.id}-summary`}
    >
      <figcaption>
        <div class="card-head">
          <h3 id={title}>
            {def.title} <span class="unit">{UNIT_WORD[def.unit]}</span>
          </h3>
          {fresh.state === 'stale' && <span class="stale-note">stale for {fresh.seconds} s</span>}
          <Buttons def={def} asTable={asTable.value} onTable={() => (asTable.value = !asTable.value)} />
        </div>
        <p class="explain">{def.explain}</p>
        <Legend def={def} watch={watch} row={cursor.value} />
        <p class="sr-only" id={`${def.id}-summary`}>{summary(def, watch)}</p>
      </figcaption>
      <div class="chart-body">
        {has && !asTable.value && <Plot def={def} watch={watch} onCursor={(row) => (cursor.value = row)} />}
        {has && asTable.value && <DataTable def={def} watch={watch} />}
        {!has && <Absent waiting={fresh.state === 'waiting'} reason={def.absent} />}
      </div>
    </figure>
  );
}

export function Absent({ waiting, reason }: { waiting: boolean; reason: string }) {
  return (
    <div class="no-data">
      <strong>Not available</strong>
      <span>{waiting ? 'Waiting for the first value.' : reason}</span>
    </div>
  );
}

function Buttons({ def, asTable, onTable }: { def: PanelDef; asTable: boolean; onTable: () => void }) {
  const copied = useSignal(false);
  const copy = async (): Promise<void> => {
    await copyText(def.series.map((s) => s.query).join('\n'));
    copied.value = true;
    spoken.value = `PromQL of ${def.title} copied`;
    window.setTimeout(() => (copied.value = false), 1_500);
  };
  return (
    <span class="card-buttons">
      <button type="button" class="small" onClick={copy} title="Copy PromQL" aria-label={`Copy PromQL of ${def.title}`}>
        <Icon name={copied.value ? 'ok' : 'copy'} />
        {copied.value ? 'Copied' : 'PromQL'}
      </button>
      <button
        type="button"
        class="small"
        onClick={onTable}
        aria-pressed={asTable}
        title={asTable ? 'View as chart' : 'View as table'}
        aria-label={`View ${def.title} as ${asTable ? 'chart' : 'table'}`}
      >
        <Icon name={asTable ? 'line' : 'table'} />
      </button>
    </span>
  );
}

function Legend({ def, watch, row }: { def: PanelDef; watch: Watch; row: number | null }) {
  void watch.version.value;
  void theme.value;
  const lines = shown(watch.view);
  const at = row !== null && row < watch.view.rows ? watch.view.times()[row] : undefined;
  const value = (column: Column): number =>
    (row !== null && at !== undefined ? watch.view.values(column)[row] : watch.view.latest(column)) as number;
  return (
    <ul class="legend" aria-hidden="true">
      {lines.map(({ column, ink: slot }) => (
        <li key={column.id}>
          <Swatch slot={slot} />
          <span class="legend-name">{column.label}</span>
          <b>{format(value(column), def.unit)}</b>
        </li>
      ))}
      {at !== undefined && <li class="legend-time">{clockTime(at)}</li>}
    </ul>
  );
}

function Swatch({ slot }: { slot: number }) {
  const { colour, dash } = ink(slot);
  return (
    <svg class="swatch" viewBox="0 0 18 4" aria-hidden="true">
      <path d="M0 2h18" stroke={colour} stroke-dasharray={dash.join(' ')} stroke-width="2.5" />
    </svg>
  );
}

function Plot({ def, watch, onCursor }: { def: PanelDef; watch: Watch; onCursor: (row: number | null) => void }) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | undefined>(undefined);
  useEffect(() => {
    const element = host.current as HTMLDivElement;
    const made = new Chart(element, def, () => watch.view, span, onCursor);
    chart.current = made;
    loop.add(element, made);
    const unTheme = theme.subscribe(() => {
      made.restyle();
      loop.touch(made);
    });
    const unWidth = width.subscribe(() => loop.touch(made));
    return () => {
      unTheme();
      unWidth();
      loop.remove(element);
      made.destroy();
    };
  }, []);
  const keys = useMemo(() => keyboard(def, watch, chart), []);
  return (
    <div
      class="plot"
      ref={host}
      tabIndex={0}
      role="group"
      aria-label={`${def.title}: arrow keys read values`}
      onKeyDown={keys}
      onBlur={() => chart.current?.moveCursor(null)}
    />
  );
}

/** Arrows move the cursor, Home and End jump, Escape leaves; the value is spoken when the keys rest. */
function keyboard(def: PanelDef, watch: Watch, chart: { current: Chart | undefined }) {
  let timer = 0;
  let row: number | undefined;
  return (event: KeyboardEvent): void => {
    const rows = watch.view.rows;
    const steps: Record<string, number | null> = {
      ArrowLeft: event.shiftKey ? -10 : -1,
      ArrowRight: event.shiftKey ? 10 : 1,
      Home: -rows,
      End: rows,
      Escape: null,
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    chart.current?.moveCursor(step);
    row = step === null ? undefined : Math.min(rows - 1, Math.max(0, (row ?? rows - 1) + step));
    window.clearTimeout(timer);
    timer = window.setTimeout(() => {
      if (row === undefined) return;
      const at = watch.view.times()[row];
      const words = shown(watch.view).map(
        ({ column }) => `${column.label} ${format(watch.view.values(column)[row as number], def.unit)}`,
      );
      if (at !== undefined) spoken.value = `${clockTime(at)}: ${words.join(', ')}`;
    }, 250);
  };
}
