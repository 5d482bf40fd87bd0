import { shown } from '../chart/lines';
import type { Watch } from '../data/engine';
import type { PanelDef } from '../data/panels';
import { clockTime, format } from '../format';
import { span } from './state';

const MAX_ROWS = 60;

/** The chart's data as a table: for eyes that do not see the canvas, and for exact numbers. */
export function DataTable({ def, watch }: { def: PanelDef; watch: Watch }) {
  void watch.version.value;
  const lines = shown(watch.data).map((line) => line.column);
  const columns = lines.map((line) => watch.data.values(line));
  const times = watch.data.times();
  const from = times.findIndex((t) => t >= span.now() - span.width());
  const every = Math.max(1, Math.ceil((times.length - from) / MAX_ROWS));
  const rows: number[] = [];
  for (let row = times.length - 1; row >= Math.max(0, from); row -= every) rows.push(row);
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={`${def.title} as a table`}>
      <table class="data">
        <thead>
          <tr>
            <th scope="col">Time</th>
            {lines.map((line) => <th scope="col" key={line.id}>{line.label}</th>)}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={times[row]}>
              <th scope="row">{clockTime(times[row] as number)}</th>
              {columns.map((values, i) => <td key={lines[i]?.id}>{format(values[row], def.unit)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
