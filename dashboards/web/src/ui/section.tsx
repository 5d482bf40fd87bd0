import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { CLOSE_S } from '../data/engine';
import type { SectionDef } from '../data/panels';
import { ChartCard } from './card';
import { freshness } from './freshness';
import { Icon } from './icons';
import { engine, width } from './state';
import { LiveTable } from './table';

/** A row of charts that belong together; one line while none of them has anything to show. */
export function Section({ def }: { def: SectionDef }) {
  const title = `section-${def.id}`;
  if (def.collapsed) return <Folded def={def} />;
  const states = [...def.panels, ...(def.tables ?? [])].map((p) => freshness(engine.watch(p.id)).state);
  // The host's charts keep their places from the start; other hardware may never come.
  const empty = def.size === 'small' && states.every((s) => s === 'absent' || s === 'waiting');
  return (
    <section class={`section ${empty ? 'empty' : ''}`} aria-labelledby={title} id={def.id}>
      <h2 id={title}>{def.title}</h2>
      {empty ? (
        <p class="card note" id={`panel-${def.panels[0]?.id}`}>
          <strong>Not available</strong> {states.includes('waiting') ? 'Waiting for the first value.' : def.absent}
        </p>
      ) : (
        <Grid def={def} />
      )}
    </section>
  );
}

function Grid({ def }: { def: SectionDef }) {
  return (
    <div class={`grid ${def.size}`}>
      {def.panels.map((p) => <ChartCard key={p.id} def={p} />)}
      {def.tables?.map((t) => <LiveTable key={t.id} def={t} />)}
    </div>
  );
}

function Folded({ def }: { def: SectionDef }) {
  const open = useSignal(false);
  const close = def.live === true && width.value <= CLOSE_S;
  const element = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    if (close && element.current) element.current.open = true;
  }, [close]);
  return (
    <details class="section folded" ref={element} onToggle={(e) => (open.value = e.currentTarget.open)}>
      <summary>
        <h2>
          <Icon name="chevron" />
          {def.title}
          <small>{[...def.panels, ...(def.tables ?? [])].map((p) => p.title.toLowerCase()).join(', ')}</small>
        </h2>
      </summary>
      <Grid def={def} />
    </details>
  );
}
