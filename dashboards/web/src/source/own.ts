import type { Matcher } from '../promql/ast';
import type { Labels } from '../promql/eval';
import { askData } from './access';

/** The job under which the ring keeps the daemon's own metrics. */
const OWN_JOB = 'watchfire';
/** A daemon that has just started has not written `up` yet. */
const TRIES = 4;
const AGAIN_MS = 400;

interface Vector {
  result: { metric: Labels; value: [number, string] }[];
}

interface Targets {
  activeTargets: { labels: Labels }[];
}

/**
 * What tells this machine's own series from those that the ring scraped elsewhere: the instance of
 * the daemon, and, where a target has the same one (watchfire scraping itself), not that target's job.
 */
export async function ownSeries(signal: AbortSignal): Promise<Matcher[]> {
  for (let i = 0; i < TRIES; i += 1) {
    if (i) await new Promise((next) => window.setTimeout(next, AGAIN_MS));
    const [up, targets] = await Promise.all([
      askData<Vector>('api/v1/query?query=timestamp(up)', { signal }),
      askData<Targets>('api/v1/targets?state=active', { signal }),
    ]);
    const found = narrow(up, targets.activeTargets.map((t) => t.labels));
    if (found) return found;
  }
  return [];
}

/** The matchers, or nothing while the daemon's own `up` is not there. */
export function narrow(up: Vector, targets: Labels[]): Matcher[] | undefined {
  const isTarget = (m: Labels): boolean => targets.some((t) => t['job'] === m['job'] && t['instance'] === m['instance']);
  // After a restart on another port the ring knows the former instance for some minutes more.
  const own = up.result
    .filter(({ metric }) => metric['job'] === OWN_JOB && !isTarget(metric))
    .sort((a, b) => Number(b.value[1]) - Number(a.value[1]))[0]?.metric['instance'];
  if (own === undefined) return undefined;
  const namesakes = new Set(targets.filter((t) => t['instance'] === own).map((t) => t['job'] ?? ''));
  return [
    { name: 'instance', op: '=', value: own },
    ...[...namesakes].map((value): Matcher => ({ name: 'job', op: '!=', value })),
  ];
}
