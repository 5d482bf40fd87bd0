/** Whoever draws: asked once a frame while it is on screen and something changed. */
export interface Drawable {
  draw(): void;
  /** Whether there is a row that was not drawn yet. */
  news(): boolean;
}

/** With reduced motion nothing moves more than once a second. */
const CALM_MS = 1_000;
const calm = window.matchMedia('(prefers-reduced-motion: reduce)');

/** Drawables that share a frame: twelve charts at once would take longer than one, in four frames nobody sees the difference. */
const SHARE = 4;
const KEPT = 120;
/** What the newest drawing frames cost in script, in milliseconds. */
export const drawMs: number[] = [];

const visible = new Map<Element, Drawable>();
const registered = new Map<Element, Drawable>();
const dirty = new Set<Drawable>();
let scheduled = false;
let drawnAt = 0;

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const drawable = registered.get(target);
    if (!drawable) continue;
    if (isIntersecting) {
      visible.set(target, drawable);
      dirty.add(drawable);
    } else {
      visible.delete(target);
    }
  }
  schedule();
}, { rootMargin: '80px' });

function schedule(): void {
  if (scheduled || !dirty.size) return;
  scheduled = true;
  requestAnimationFrame(frame);
}

function frame(at: number): void {
  const early = calm.matches ? CALM_MS - (at - drawnAt) : 0;
  if (early > CALM_MS / 10) {
    window.setTimeout(() => requestAnimationFrame(frame), early);
    return;
  }
  scheduled = false;
  drawnAt = at;
  const due = calm.matches ? [...dirty] : [...dirty].slice(0, SHARE);
  for (const drawable of due) dirty.delete(drawable);
  const began = performance.now();
  for (const drawable of due) drawable.draw();
  schedule();
  // uPlot draws in a microtask: it is done when a later one runs.
  queueMicrotask(() => {
    drawMs.push(performance.now() - began);
    if (drawMs.length > KEPT) drawMs.shift();
  });
}

/** The one animation loop of the page: it runs when data came, not at every frame. */
export const loop = {
  add(element: Element, drawable: Drawable): void {
    registered.set(element, drawable);
    observer.observe(element);
  },
  remove(element: Element): void {
    const drawable = registered.get(element);
    if (drawable) dirty.delete(drawable);
    registered.delete(element);
    visible.delete(element);
    observer.unobserve(element);
  },
  /** One drawable has something new to show. */
  touch(drawable: Drawable): void {
    dirty.add(drawable);
    schedule();
  },
  /** Everything on screen is to be drawn, because time went on; between two ticks only what has a new row. */
  touchAll(between: boolean): void {
    for (const drawable of visible.values()) if (!between || drawable.news()) dirty.add(drawable);
    schedule();
  },
};
