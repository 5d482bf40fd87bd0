import { batch, signal } from '@preact/signals';
import type { Span } from '../chart/chart';
import { CLOSE_S, Engine, type Watch } from '../data/engine';
import { SourceControl } from '../source/source';

export const engine = new Engine();
export const source = new SourceControl(engine);

/** Panels whose words change in one frame: laying out all of them takes longer than one. */
const SHARE = 10;
const told = new Set<Watch>();

function tell(): void {
  const some = [...told].slice(0, SHARE);
  batch(() => {
    for (const watch of some) watch.version.value += 1;
  });
  for (const watch of some) told.delete(watch);
  if (told.size) requestAnimationFrame(tell);
}

engine.announce = (watches) => {
  if (!told.size && watches.length) requestAnimationFrame(tell);
  for (const watch of watches) told.add(watch);
};

/** Seconds that the charts show, as the person chose. */
export const width = signal(600);
/** The shortest choice is the live view: it shows ten samples a second where there are any. */
width.subscribe((seconds) => source.look(seconds <= CLOSE_S));
/** What a chart shows while there is less history than that: the lines should be seen to move. */
const YOUNG_WIDTHS_S = [60, 120, 300];

/** Counts seconds: what depends on the passing of time alone looks at it. */
export const clock = signal(0);
window.setInterval(() => {
  if (!document.hidden) clock.value += 1;
}, 1_000);

export const span: Span = {
  now: () => engine.now / 1000,
  width: () => {
    const have = engine.now / 1000 - engine.oldest;
    return Math.min(width.value, YOUNG_WIDTHS_S.find((s) => s >= have) ?? width.value);
  },
};

/** What the one live region of the page says to a screen reader. */
export const spoken = signal('');
