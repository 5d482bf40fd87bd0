import { useSignal } from '@preact/signals';
import type { Unit } from '../data/panels';
import { duration, format } from '../format';
import { Lazy, Wait } from './folded';
import { usePoll } from './poll';
import { engine, spoken } from './state';

/** One process, as `api/watchfire/v1/processes` tells it; what is not known is null. */
interface Process {
  pid: number;
  name: string;
  user: string | null;
  group: string | null;
  state: string;
  cpu_percent: number | null;
  rss_bytes: number;
  pss_bytes: number | null;
  threads: number;
  open_fds: number | null;
  read_bytes_per_second: number | null;
  write_bytes_per_second: number | null;
  start_time: number | null;
  cmdline: string | null;
}

interface Column {
  /** The word by which the daemon sorts. */
  sort: string;
  title: string;
  text: (p: Process) => string;
  /** Names go up, amounts go down at the first press. */
  ascends?: boolean;
}

const known = (value: number | null, unit: Unit): string => format(value ?? undefined, unit);

const COLUMNS: Column[] = [
  { sort: 'name', title: 'Name', text: (p) => p.name, ascends: true },
  { sort: 'pid', title: 'PID', text: (p) => String(p.pid), ascends: true },
  { sort: 'user', title: 'User', text: (p) => p.user ?? '–', ascends: true },
  { sort: 'group', title: 'Group', text: (p) => p.group ?? '–', ascends: true },
  { sort: 'state', title: 'State', text: (p) => p.state, ascends: true },
  { sort: 'cpu', title: 'CPU', text: (p) => known(p.cpu_percent === null ? null : p.cpu_percent / 100, 'ratio') },
  { sort: 'rss', title: 'Memory', text: (p) => known(p.rss_bytes, 'bytes') },
  { sort: 'pss', title: 'Share', text: (p) => known(p.pss_bytes, 'bytes') },
  { sort: 'threads', title: 'Threads', text: (p) => String(p.threads) },
  { sort: 'fds', title: 'Files', text: (p) => known(p.open_fds, 'count') },
  { sort: 'read', title: 'Read', text: (p) => known(p.read_bytes_per_second, 'bytes/s') },
  { sort: 'write', title: 'Written', text: (p) => known(p.write_bytes_per_second, 'bytes/s') },
  { sort: 'start', title: 'Age', text: (p) => (p.start_time === null ? '–' : duration(engine.now / 1000 - p.start_time)) },
  { sort: 'cmdline', title: 'Command', text: (p) => p.cmdline ?? '–', ascends: true },
];

const EVERY_MS = 2_000;
const ROWS = 20;

type Order = { sort: string; up: boolean };

/** The heaviest processes of the machine, in a group or not. The daemon is asked only while the table is open. */
export function Processes() {
  return <Lazy id="processes" title="Processes" hint="the heaviest of the machine" body={Table} />;
}

function Table() {
  const order = useSignal<Order>({ sort: 'cpu', up: false });
  const { sort, up } = order.value;
  const query = new URLSearchParams({ sort, order: up ? 'asc' : 'desc', limit: String(ROWS) });
  const { data, trouble } = usePoll<Process[]>(`api/watchfire/v1/processes?${query}`, EVERY_MS);

  const press = (column: Column): void => {
    const again = column.sort === sort;
    order.value = { sort: column.sort, up: again ? !up : Boolean(column.ascends) };
    spoken.value = `Processes sorted by ${column.title}, ${order.value.up ? 'ascending' : 'descending'}`;
  };
  if (!data) return <Wait trouble={trouble} />;
  return (
    <div class="card table-card wide" id="panel-processes">
      {trouble && <p class="explain">{trouble}</p>}
      <div class="scroll" tabIndex={0} role="region" aria-label="Processes">
        <table class="data sortable">
          <thead>
            <tr>
              {COLUMNS.map((column) => (
                <th scope="col" key={column.sort} aria-sort={column.sort === sort ? (up ? 'ascending' : 'descending') : 'none'}>
                  <button type="button" onClick={() => press(column)}>
                    {column.title}
                    <span class="arrow" aria-hidden="true">{column.sort === sort ? (up ? '▲' : '▼') : ''}</span>
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {data.map((process) => (
              <tr key={process.pid}>
                {COLUMNS.map((column, i) => {
                  const text = column.text(process);
                  return i === 0 ? (
                    <th scope="row" key={column.sort}>{text}</th>
                  ) : (
                    <td key={column.sort} class={column.sort === 'cmdline' ? 'command' : undefined} title={column.sort === 'cmdline' ? text : undefined}>{text}</td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}
