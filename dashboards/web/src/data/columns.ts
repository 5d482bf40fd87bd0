import type { Labels } from '../promql/eval';

/** Rows that a panel keeps: ten minutes at one a second and room for what was backfilled. */
const CAPACITY = 1024;
/** Rows further apart have a hole between them; the live samples may begin this late after the past. */
const GAP_S = 5.5;
/** Series that a panel keeps at most; a machine with more shows the most recent ones. */
const MAX_COLUMNS = 192;

/**
 * A ring that is written twice, at p and at p + CAPACITY: the newest n rows are always one
 * contiguous view, without a copy.
 */
class Ring {
  private readonly cells = new Float64Array(2 * CAPACITY).fill(NaN);

  set(at: number, value: number): void {
    this.cells[at] = value;
    this.cells[at + CAPACITY] = value;
  }

  get(at: number): number {
    return this.cells[at] as number;
  }

  view(at: number, rows: number): Float64Array {
    const end = at + CAPACITY + 1;
    return this.cells.subarray(end - rows, end);
  }
}

export interface Column {
  /** Identity: the query of the panel that it belongs to and the labels of the answer. */
  id: string;
  label: string;
  labels: Labels;
  query: number;
  /** The order in which columns appeared: colour and dash follow it. */
  slot: number;
  lastSeen: number;
  ring: Ring;
}

export interface Cell {
  id: string;
  query: number;
  labels: Labels;
  label: string;
  value: number;
}

/** What one panel draws: a time column (seconds) and a value column for each of its series. */
export class Columns {
  columns: Column[] = [];
  rows = 0;
  /** @param stepMs rows within one such step replace each other */
  constructor(private readonly stepMs = 1_000) {}

  /** Changes when a column comes or goes. */
  generation = 0;
  private time = new Ring();
  private at = CAPACITY - 1;
  private readonly byId = new Map<string, Column>();

  /** The timestamp of the newest row in seconds, NaN before the first. */
  get last(): number {
    return this.rows ? this.time.get(this.at) : NaN;
  }

  /** The timestamp of the oldest row in seconds, NaN before the first. */
  get first(): number {
    return this.rows ? (this.times()[0] as number) : NaN;
  }

  times(): Float64Array {
    return this.time.view(this.at, this.rows);
  }

  values(column: Column): Float64Array {
    return column.ring.view(this.at, this.rows);
  }

  latest(column: Column): number {
    return this.rows ? column.ring.get(this.at) : NaN;
  }

  private step(seconds: number): number {
    return Math.floor(Math.round(seconds * 1_000) / this.stepMs);
  }

  /** Writes the row at `seconds`; a second tick within one step replaces the row. */
  push(seconds: number, cells: Cell[]): void {
    const last = this.last;
    if (seconds < last) return;
    if (Number.isNaN(last) || this.step(seconds) !== this.step(last)) {
      if (seconds - last > GAP_S) this.advance(last + 1);
      this.advance(seconds);
    } else {
      this.time.set(this.at, seconds);
    }
    for (const column of this.columns) column.ring.set(this.at, NaN);
    for (const cell of cells) {
      const column = this.column(cell);
      if (!column) continue;
      column.ring.set(this.at, cell.value);
      column.lastSeen = seconds;
    }
  }

  /** Puts what the ring knows in place of the same time here; rows before and after it stay. */
  backfill(past: { seconds: number; cells: Cell[] }[]): void {
    const from = past[0]?.seconds ?? Infinity;
    const to = past.at(-1)?.seconds ?? -Infinity;
    const rows = this.drain();
    const older = rows.filter((row) => row.seconds < from);
    const newer = rows.filter((row) => row.seconds > to);
    for (const row of [...older, ...past, ...newer]) this.push(row.seconds, row.cells);
  }

  /** Whether more than `limit` seconds after `from` have no row. */
  hasHole(from: number, limit: number): boolean {
    const times = [...this.times()].filter((t) => t >= from);
    return times.some((t, i) => t - (times[i - 1] ?? from) > limit);
  }

  /** Begins anew with the rows of another from `seconds` on; lines keep their colours. */
  seed(other: Columns, seconds: number): void {
    this.drain();
    this.byId.clear();
    this.columns = other.columns.map((column) => ({ ...column, ring: new Ring() }));
    for (const column of this.columns) this.byId.set(column.id, column);
    this.generation += 1;
    for (const row of other.list()) if (row.seconds >= seconds) this.push(row.seconds, row.cells);
  }

  private drain(): { seconds: number; cells: Cell[] }[] {
    const rows = this.list();
    this.rows = 0;
    this.at = CAPACITY - 1;
    for (const column of this.columns) column.ring = new Ring();
    this.time = new Ring();
    return rows;
  }

  private list(): { seconds: number; cells: Cell[] }[] {
    const times = this.times().slice();
    const views = this.columns.map((column) => ({ ...column, view: this.values(column).slice() }));
    return [...times].map((seconds, i) => ({
      seconds,
      cells: views
        .map(({ id, query, labels, label, view }) => ({ id, query, labels, label, value: view[i] as number }))
        .filter((cell) => !Number.isNaN(cell.value)),
    }));
  }

  private advance(seconds: number): void {
    this.at = (this.at + 1) % CAPACITY;
    this.rows = Math.min(this.rows + 1, CAPACITY);
    this.time.set(this.at, seconds);
    for (const column of this.columns) column.ring.set(this.at, NaN);
  }

  private column(cell: Cell): Column | undefined {
    const known = this.byId.get(cell.id);
    if (known) return known;
    this.forget();
    if (this.columns.length >= MAX_COLUMNS) return undefined;
    const { id, query, labels, label } = cell;
    const column = { id, query, labels, label, slot: this.freeSlot(), lastSeen: 0, ring: new Ring() };
    this.byId.set(id, column);
    this.columns.push(column);
    this.columns.sort((a, b) => a.query - b.query || a.slot - b.slot);
    this.generation += 1;
    return column;
  }

  private freeSlot(): number {
    const taken = new Set(this.columns.map((c) => c.slot));
    let slot = 0;
    while (taken.has(slot)) slot += 1;
    return slot;
  }

  /** Drops the columns that have no value left in the window. */
  private forget(): void {
    const oldest = this.rows === CAPACITY ? (this.times()[0] as number) : -Infinity;
    const gone = this.columns.filter((c) => c.lastSeen < oldest);
    for (const column of gone) this.byId.delete(column.id);
    if (gone.length) this.columns = this.columns.filter((c) => !gone.includes(c));
  }
}
