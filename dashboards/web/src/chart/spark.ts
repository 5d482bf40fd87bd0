import type { Columns } from '../data/columns';
import { ink } from '../theme';
import type { Span } from './chart';

/** The small line of a tile: no axes, the first column alone, its own canvas. */
export class Spark {
  private readonly resizer: ResizeObserver;
  private drawnTo = NaN;
  /** As the observer saw it: asking the element would make the browser lay the page out at once. */
  private size = { width: 0, height: 0 };

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly data: Columns,
    private readonly span: Span,
    private readonly max: number | undefined,
  ) {
    this.resizer = new ResizeObserver(([entry]) => {
      if (entry) this.size = entry.contentRect;
      this.draw();
    });
    this.resizer.observe(canvas);
  }

  destroy(): void {
    this.resizer.disconnect();
  }

  news(): boolean {
    return this.data.last !== this.drawnTo;
  }

  draw(): void {
    this.drawnTo = this.data.last;
    const { canvas, data } = this;
    const width = Math.round(this.size.width * devicePixelRatio);
    const height = Math.round(this.size.height * devicePixelRatio);
    const ctx = canvas.getContext('2d');
    if (!ctx || !width || !height) return;
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    ctx.clearRect(0, 0, width, height);
    const column = data.columns.find((c) => c.query === 0);
    if (!column) return;
    const times = data.times();
    const values = data.values(column);
    const shown = this.span.width();
    const from = this.span.now() - shown;
    const line = devicePixelRatio * 1.25;
    const x = (t: number): number => ((t - from) / shown) * width;
    const top = this.max ?? (largest(times, values, from) * 1.15 || 1);
    const y = (v: number): number => height - line - (v / top) * (height - 2 * line);
    const colour = ink(0).colour;
    const area = new Path2D();
    const stroke = new Path2D();
    let before = NaN;
    for (let i = 0; i < values.length; i += 1) {
      const value = values[i] as number;
      const at = times[i] as number;
      if (at < from) continue;
      if (!Number.isNaN(value)) {
        if (Number.isNaN(before)) {
          stroke.moveTo(x(at), y(value));
          area.moveTo(x(at), height);
        } else stroke.lineTo(x(at), y(value));
        area.lineTo(x(at), y(value));
      }
      if (!Number.isNaN(before) && (Number.isNaN(value) || i === values.length - 1)) {
        area.lineTo(x(Number.isNaN(value) ? (times[i - 1] as number) : at), height);
      }
      before = value;
    }
    ctx.globalAlpha = 0.13;
    ctx.fillStyle = colour;
    ctx.fill(area);
    ctx.globalAlpha = 1;
    ctx.strokeStyle = colour;
    ctx.lineWidth = line;
    ctx.lineJoin = 'round';
    ctx.stroke(stroke);
  }
}

function largest(times: Float64Array, values: Float64Array, from: number): number {
  let max = 0;
  for (let i = 0; i < values.length; i += 1) {
    if ((times[i] as number) >= from && (values[i] as number) > max) max = values[i] as number;
  }
  return max;
}
