import type { Watch } from '../data/engine';
import { clock, source } from './state';

/** Data older than this is dimmed. */
const STALE_MS = 10_000;
/** How long a page that was just opened waits before it calls a value absent. */
const GRACE_MS = 2_500;
const opened = performance.now();

export type Freshness = { state: 'waiting' | 'absent' | 'fresh' } | { state: 'stale'; seconds: number };

/** How much to trust what a panel shows. Reading it subscribes to the panel and to the clock. */
export function freshness(watch: Watch): Freshness {
  const rows = watch.version.value;
  void clock.value;
  const now = performance.now();
  if (!rows) return { state: now - opened < GRACE_MS ? 'waiting' : 'absent' };
  const age = now - (watch.lastSeen || opened);
  if (age > STALE_MS && !source.paused.value) return { state: 'stale', seconds: Math.floor(age / 1000) };
  return { state: 'fresh' };
}
