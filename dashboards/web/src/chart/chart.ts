import uPlot from 'uplot';
import type { Columns } from '../data/columns';
import type { PanelDef } from '../data/panels';
import { axisText, clockMinute, clockTime } from '../format';
import { ground, ink } from '../theme';
import { shown, type Line } from './lines';
import { axisFor, splits, spread, type Axis } from './scale';

/** The moment that "navigation to first chart" is measured by. */
const FIRST_CHART = 'watchfire-first-chart';
let firstDrawn = false;
const FONT = '11px ui-sans-serif, system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
const LABEL_HEIGHT = 13;
const LABEL_CHARS = 12;

/** The clock and width of all charts, in seconds. */
export interface Span {
  now(): number;
  width(): number;
}

/** A line through the values; NaN ends a stroke, so that a hole stays a hole. */
const path: uPlot.Series.PathBuilder = (u, seriesIdx, first, last) => {
  const times = u.data[0] as ArrayLike<number>;
  const values = u.data[seriesIdx] as ArrayLike<number>;
  const stroke = new Path2D();
  let down = false;
  for (let i = first; i <= last; i += 1) {
    const value = values[i] as number;
    if (Number.isNaN(value)) {
      down = false;
      continue;
    }
    const x = u.valToPos(times[i] as number, 'x', true);
    const y = u.valToPos(value, 'y', true);
    // A value between two holes would be a line without length.
    if (down) stroke.lineTo(x, y);
    else {
      stroke.moveTo(x - 0.5, y);
      stroke.lineTo(x, y);
    }
    down = true;
  }
  return { stroke, fill: null, clip: null, band: null, flags: 1 } as uPlot.Series.Paths;
};

/**
 * One uPlot instance over a panel's columns. It lives outside the reactive tree: the component mounts
 * it once, data comes through the columns, and only `draw` looks at them.
 */
export class Chart {
  private plot: uPlot | undefined;
  private lines: readonly Line[] = [];
  private drawn = '';
  private drawnTo = NaN;
  private axis: Axis = { top: 1, steps: 4 };
  private readonly resizer: ResizeObserver;
  /** Width of the host as it was last seen: asking it would make the browser lay the page out at once. */
  private room = 300;

  constructor(
    private readonly host: HTMLElement,
    private readonly def: PanelDef,
    private readonly view: () => Columns,
    private readonly span: Span,
    private readonly onCursor: (row: number | null) => void,
  ) {
    this.resizer = new ResizeObserver(() => this.resize());
    this.resizer.observe(host);
  }

  private get data(): Columns {
    return this.view();
  }

  destroy(): void {
    this.resizer.disconnect();
    this.plot?.destroy();
    this.plot = undefined;
  }

  news(): boolean {
    return this.data.last !== this.drawnTo;
  }

  /** Forgets the drawn instance, after a change of colours. */
  restyle(): void {
    this.drawn = '';
  }

  draw(): void {
    if (!firstDrawn && this.data.rows) {
      firstDrawn = true;
      performance.mark(FIRST_CHART);
    }
    this.drawnTo = this.data.last;
    this.lines = shown(this.data);
    const shape = this.lines.map((line) => line.column.id).join('\u0004');
    if (!this.plot || shape !== this.drawn) {
      this.drawn = shape;
      this.build();
    }
    const columns = this.lines.map((line) => this.data.values(line.column));
    this.axis = this.def.max
      ? { top: this.def.max, steps: 4 }
      : axisFor(this.largest(columns) * 1.04, this.def.unit);
    this.plot?.setData([this.data.times(), ...columns] as unknown as uPlot.AlignedData);
  }

  /** Moves the cursor by the keyboard; a null step takes it away. */
  moveCursor(step: number | null): void {
    const plot = this.plot;
    if (!plot) return;
    const rows = this.data.rows;
    const at = plot.cursor.idx ?? rows;
    const to = step === null ? null : Math.min(rows - 1, Math.max(0, at + step));
    const left = to === null ? -10 : plot.valToPos(this.data.times()[to] as number, 'x');
    plot.setCursor({ left, top: left < 0 ? -10 : plot.bbox.height / 2 / devicePixelRatio });
  }

  private largest(columns: Float64Array[]): number {
    const times = this.data.times();
    const from = this.span.now() - this.span.width();
    let max = 0;
    for (const column of columns) {
      for (let i = column.length - 1; i >= 0 && (times[i] as number) >= from; i -= 1) {
        const value = column[i] as number;
        if (value > max) max = value;
      }
    }
    return max;
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.host;
    this.room = width || this.room;
    if (this.plot && width && height) this.plot.setSize({ width, height });
  }

  private build(): void {
    this.plot?.destroy();
    const { clientWidth: width, clientHeight: height } = this.host;
    this.room = width || this.room;
    const { grid, text } = ground();
    const unit = this.def.unit;
    const axis = { stroke: text, font: FONT, ticks: { show: false }, grid: { stroke: grid, width: 1 } };
    this.plot = new uPlot(
      {
        width: width || 300,
        height: height || 160,
        padding: [8, this.lines.length > 1 ? 78 : 10, 0, 0],
        legend: { show: false },
        cursor: {
          y: false,
          points: { show: false },
          drag: { x: false, y: false },
          sync: { key: 'watchfire', scales: ['x', null] },
        },
        scales: {
          x: { time: false, range: () => [this.span.now() - this.span.width(), this.span.now()] },
          y: { range: () => [0, this.axis.top] },
        },
        axes: [
          {
            ...axis,
            grid: { show: false },
            size: 22,
            gap: 4,
            splits: () => this.minutes(),
            values: (_, at) => at.map(at.some((t) => t % 60) ? clockTime : clockMinute),
          },
          {
            ...axis,
            size: 58,
            gap: 6,
            splits: () => splits(this.axis),
            values: (_, at) => at.map((v) => axisText(v, unit, this.axis.top)),
          },
        ],
        series: [{}, ...this.lines.map((line) => this.series(line))],
        hooks: {
          draw: [(u) => this.endLabels(u)],
          setCursor: [(u) => this.onCursor(u.cursor.idx ?? null)],
        },
      },
      [[]] as unknown as uPlot.AlignedData,
      this.host,
    );
    this.plot.root.setAttribute('aria-hidden', 'true');
  }

  private series(line: Line): uPlot.Series {
    const { colour, dash } = ink(line.ink);
    return { label: line.column.label, stroke: colour, dash, width: 1.5, paths: path, points: { show: false } };
  }

  /** Round minutes on the time axis, as many as the width carries. */
  private minutes(): number[] {
    const span = this.span.width();
    const room = Math.max(140, this.room - 130);
    // With seconds the words are wider.
    const step = [15, 30, 60, 120, 300, 600].find((s) => (room * s) / span >= (s % 60 ? 88 : 62)) ?? 600;
    const now = this.span.now();
    const at: number[] = [];
    for (let t = Math.ceil((now - span) / step) * step; t <= now; t += step) at.push(t);
    return at;
  }

  /** Names at the ends of the lines: nobody has to match colours with a legend. */
  private endLabels(u: uPlot): void {
    if (this.lines.length < 2) return;
    const ratio = devicePixelRatio;
    const { left, top, width, height } = u.bbox;
    const wanted = this.lines.map((line) => {
      const value = this.data.latest(line.column);
      return Number.isNaN(value) ? NaN : u.valToPos(value, 'y', true);
    });
    const present = this.lines.map((_, i) => i).filter((i) => !Number.isNaN(wanted[i]));
    const half = (LABEL_HEIGHT / 2) * ratio;
    const placed = spread(
      present.map((i) => wanted[i] as number),
      LABEL_HEIGHT * ratio,
      top + half,
      top + height - half / 2,
    );
    const { ctx } = u;
    ctx.save();
    ctx.font = FONT.replace('11px', `${11 * ratio}px`);
    ctx.textBaseline = 'middle';
    ctx.textAlign = 'left';
    present.forEach((i, n) => {
      const line = this.lines[i] as Line;
      ctx.fillStyle = ink(line.ink).colour;
      ctx.fillText(short(line.column.label), left + width + 6 * ratio, placed[n] as number);
    });
    ctx.restore();
  }
}

/** A name that fits beside the plot: the end of it tells more than the beginning of a path. */
function short(label: string): string {
  return label.length > LABEL_CHARS ? `${label.slice(0, LABEL_CHARS - 1)}…` : label;
}
