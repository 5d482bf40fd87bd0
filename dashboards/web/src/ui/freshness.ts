import type { Watch } from '../data/engine';
import { clock, engine, source } from './state';

/** Data older than this is dimmed. */
const STALE_MS = 10_000;
/** Data older than this has left the charts: it counts as absent. */
const GONE_MS = 600_000;
/** How long a page that was just opened waits before it calls a value absent. */
const GRACE_MS = 2_500;
const opened = performance.now();

export type Freshness = { state: 'waiting' | 'absent' | 'fresh' } | { state: 'stale'; seconds: number };

/** How much to trust what a panel shows. Reading it subscribes to the panel and to the clock. */
export function freshness(watch: Watch): Freshness {
  const rows = watch.version.value;
  void clock.value;
  const now = performance.now();
  // Before anything came at all, nobody knows what the machine lacks.
  if (!rows) return { state: now - opened < GRACE_MS || !engine.ticks ? 'waiting' : 'absent' };
  // Silence is measured by the browser's clock; a past that ended long ago, by the daemon's.
  const age = Math.max(now - (watch.lastSeen || opened), engine.now - watch.data.last * 1000);
  if (age > GONE_MS) return { state: 'absent' };
  if (age > STALE_MS && !source.paused.value) return { state: 'stale', seconds: Math.floor(age / 1000) };
  return { state: 'fresh' };
}
