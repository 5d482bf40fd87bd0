/** What the page shows, as data: the files of `dashboards/panels/`. */

export type Unit =
  | 'age' | 'ratio' | 'bytes' | 'bytes/s' | 'seconds' | 'tokens/s' | 'celsius' | 'watts' | 'count' | 'cores' | 'load' | 'requests/s' | 'yes' | 'status' | 'named';

export interface QueryDef {
  query: string;
  /** The name of the line; `{{label}}` takes a label of the answer. */
  legend: string;
}

export interface PanelDef {
  id: string;
  title: string;
  unit: Unit;
  explain: string;
  /** Why there may be no value, and what to do. */
  absent: string;
  series: QueryDef[];
  min?: number;
  max?: number;
  /** Shown only while it has values, for measurements that few machines have. */
  optional?: boolean;
}

export interface ColumnDef {
  title: string;
  unit: Unit;
  query: string;
  /** Draws the share of `max`, or of the largest row, as a bar behind the number. */
  bar?: boolean;
  max?: number;
}

export interface TableDef {
  id: string;
  title: string;
  explain: string;
  absent: string;
  /** The label that names a row. */
  rows: string;
  columns: ColumnDef[];
  /** Shown only while it has rows. */
  optional?: boolean;
}

export interface SectionDef {
  id: string;
  title: string;
  order: number;
  size: 'large' | 'small';
  collapsed?: boolean;
  /** A collapsed one that opens with the live view. */
  live?: boolean;
  absent: string;
  panels: PanelDef[];
  tables?: TableDef[];
}

export interface TileDef {
  id: string;
  title: string;
  unit: Unit;
  explain: string;
  absent: string;
  query: string;
  /** Values in small print below: query, unit and the words around the value (`load {}`). */
  notes: { query: string; unit: Unit; text: string }[];
  /** The panel that tells more. */
  to: string;
  max?: number;
}

/** The tiles above the charts, and single facts that header and footer show. */
interface SummaryDef {
  tiles: TileDef[];
  facts: Record<string, string>;
}

type File = SectionDef | SummaryDef;

const files = Object.values(
  import.meta.glob<File>('../../../panels/*.json', { eager: true, import: 'default' }),
);

export const sections: SectionDef[] = files
  .filter((file): file is SectionDef => 'panels' in file)
  .sort((a, b) => a.order - b.order);

export const tiles: TileDef[] = files.flatMap((file) => ('tiles' in file ? file.tiles : []));

export const facts: Record<string, string> = Object.assign(
  {},
  ...files.map((file) => ('facts' in file ? file.facts : {})),
);
