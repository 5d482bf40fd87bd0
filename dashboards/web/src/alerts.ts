import { signal } from '@preact/signals';
import { access, askData } from './source/access';

/** One alert as the page lists it: what the alert says, and what its rule says about it. */
export interface Alert {
  id: string;
  name: string;
  state: 'firing' | 'pending';
  severity: string;
  category: string;
  since: number;
  value: number;
  summary: string;
  description: string;
  runbook: string;
  labels: Record<string, string>;
  expr: string;
  /** `file:line` of the rule, as far as the daemon tells it. */
  place: string;
}

export interface AlertState {
  alerts: Alert[];
  /** How many alert rules are loaded, unknown until the daemon has said. */
  rules: number | undefined;
  /** Why there is no list. */
  unavailable: string;
}

interface RawAlert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  state: string;
  activeAt: string;
  value: string;
}

interface RawRule {
  name: string;
  query: string;
  labels?: Record<string, string>;
  file: string;
  line?: number;
}

/** Alert rules by name; one name may stand for several severities. */
type Rules = Map<string, RawRule[]>;

const PERIOD_MS = 2_000;
const RULES_EVERY_MS = 60_000;
const SEVERITIES = ['critical', 'error', 'warning', 'info', 'none'];

export const NEEDS_API = 'The list of alerts needs the API; the page reads /metrics alone now.';

export const alertState = signal<AlertState>({ alerts: [], rules: undefined, unavailable: 'waiting for the daemon' });

/** Polls the alerts while the page is visible. */
export function watchAlerts(allowed: () => boolean): void {
  let rules: Rules = new Map();
  let count: number | undefined;
  let rulesAt = -Infinity;

  const round = async (): Promise<void> => {
    if (document.hidden || access.value !== 'open') return;
    if (!allowed()) {
      alertState.value = { alerts: [], rules: undefined, unavailable: NEEDS_API };
      return;
    }
    const raw = await askData<{ alerts: RawAlert[] }>('api/v1/alerts');
    const unknown = raw.alerts.some((a) => !rules.has(a.labels['alertname'] ?? ''));
    const age = performance.now() - rulesAt;
    if (age > RULES_EVERY_MS || (unknown && age > 5_000)) {
      rulesAt = performance.now();
      [rules, count] = await readRules().catch(() => [rules, count] as const);
    }
    const alerts = raw.alerts.map((a) => alertOf(a, rules)).sort(urgentFirst);
    alertState.value = { alerts, rules: count, unavailable: '' };
  };
  let failures = 0;
  const guarded = (): void => {
    const done = round().then(() => (failures = 0));
    done.catch((error: Error) => {
      // One lost answer does not take the list away.
      failures += 1;
      if (failures < 3 && !alertState.value.unavailable) return;
      alertState.value = { alerts: [], rules: undefined, unavailable: `The alerts cannot be read: ${error.message}` };
    });
  };
  guarded();
  window.setInterval(guarded, PERIOD_MS);
  document.addEventListener('visibilitychange', guarded);
}

async function readRules(): Promise<[Rules, number]> {
  const { groups } = await askData<{ groups: { file: string; rules: RawRule[] }[] }>('api/v1/rules?type=alert');
  const known: Rules = new Map();
  let count = 0;
  for (const { file, rules } of groups) {
    for (const rule of rules) {
      count += 1;
      known.set(rule.name, [...(known.get(rule.name) ?? []), { ...rule, file }]);
    }
  }
  return [known, count];
}

/** The rule that made an alert: of those with its name, the one whose labels the alert carries. */
function ruleOf(labels: Record<string, string>, rules: Rules): RawRule | undefined {
  const named = rules.get(labels['alertname'] ?? '') ?? [];
  const fits = (rule: RawRule): boolean =>
    Object.entries(rule.labels ?? {}).every(([name, value]) => labels[name] === value);
  return named.find(fits) ?? named[0];
}

function alertOf(raw: RawAlert, rules: Rules): Alert {
  const { labels, annotations } = raw;
  const name = labels['alertname'] ?? '?';
  const rule = ruleOf(labels, rules);
  return {
    id: JSON.stringify(labels),
    name,
    state: raw.state === 'firing' ? 'firing' : 'pending',
    severity: (labels['severity'] ?? 'none').toLowerCase(),
    category: labels['category'] ?? annotations['category'] ?? '',
    since: Date.parse(raw.activeAt) / 1000,
    value: Number(raw.value),
    summary: annotations['summary'] ?? annotations['description'] ?? '',
    description: annotations['summary'] ? (annotations['description'] ?? '') : '',
    runbook: annotations['runbook_url'] ?? '',
    labels,
    expr: rule?.query ?? '',
    place: rule?.line ? `${rule.file}:${rule.line}` : (rule?.file ?? ''),
  };
}

export function severityRank(severity: string): number {
  const rank = SEVERITIES.indexOf(severity);
  return rank < 0 ? 3 : rank;
}

function urgentFirst(a: Alert, b: Alert): number {
  return (
    Number(b.state === 'firing') - Number(a.state === 'firing') ||
    severityRank(a.severity) - severityRank(b.severity) ||
    b.since - a.since
  );
}
