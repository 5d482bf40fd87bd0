import type { TableDef } from '../data/panels';
import { format, unitOf } from '../format';
import { Absent } from './card';
import { freshness } from './freshness';
import { engine } from './state';

/** Rows drawn at most: the table is for a look, the API for all of them. */
const MAX_ROWS = 40;

/** What is true now of each member of a group: one row a member, one query a column. */
export function LiveTable({ def }: { def: TableDef }) {
  const watch = engine.watch(def.id);
  const fresh = freshness(watch);
  const columns = def.columns.map((_, i) => new Map(watch.latest(i).map((c) => [c.label, c.value])));
  const names = [...new Set(columns.flatMap((column) => [...column.keys()]))].sort();
  // A column without any value is of hardware or a server that has no such reading.
  const shown = def.columns.map((column, i) => ({ column, i })).filter(({ i }) => columns[i]?.size);
  const top = def.columns.map(({ max }, i) => max ?? Math.max(0, ...(columns[i]?.values() ?? [])));
  if (def.optional && !names.length) return null;
  return (
    <div class={`card table-card ${fresh.state}`} id={`panel-${def.id}`}>
      <div class="card-head">
        <h3>{def.title}</h3>
        {fresh.state === 'stale' && <span class="stale-note">stale for {fresh.seconds} s</span>}
      </div>
      <p class="explain">{def.explain}</p>
      {names.length === 0 ? (
        <Absent waiting={fresh.state === 'waiting'} reason={def.absent} />
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label={def.title}>
          <table class="data">
            <thead>
              <tr>
                <th scope="col">{def.rows}</th>
                {shown.map(({ column: c }) => <th scope="col" key={c.title}>{c.title}</th>)}
              </tr>
            </thead>
            <tbody>
              {names.slice(0, MAX_ROWS).map((name) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  {shown.map(({ column: c, i }) => {
                    const value = columns[i]?.get(name);
                    return (
                      <td key={c.title}>
                        {c.bar && value !== undefined && <Meter share={value / (top[i] || 1)} />}
                        <span class={c.bar ? 'beside-meter' : c.unit === 'status' ? `status status-${format(value, c.unit)}` : undefined}>
                          {format(value, c.unit === 'named' ? unitOf(name) : c.unit)}
                        </span>
                      </td>
                    );
                  })}
                </tr>
              ))}
            </tbody>
          </table>
          {names.length > MAX_ROWS && <p class="explain">{names.length - MAX_ROWS} more rows are in the API.</p>}
        </div>
      )}
    </div>
  );
}

function Meter({ share }: { share: number }) {
  return (
    <svg class="meter" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
      <rect class="meter-ground" width="100" height="4" />
      <rect class="meter-fill" width={Math.min(100, Math.max(0, share * 100)).toFixed(1)} height="4" />
    </svg>
  );
}
