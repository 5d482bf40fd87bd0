import { useSignal } from '@preact/signals';
import { alertState, severityRank, type Alert } from '../alerts';
import { duration, format } from '../format';
import { Icon, type IconName } from './icons';
import { RunbookText, runbookUrl } from './runbook';
import { clock, engine } from './state';

/** Rows drawn before a person asks for more: a big incident must not stop the browser. */
const FIRST_ROWS = 50;
const ICONS: IconName[] = ['critical', 'critical', 'warning', 'info', 'info'];

export function AlertList() {
  const { alerts, rules, unavailable } = alertState.value;
  const limit = useSignal(FIRST_ROWS);
  void clock.value;
  const firing = alerts.filter((a) => a.state === 'firing').length;
  return (
    <section class="section" id="alerts" aria-labelledby="alerts-title">
      <h2 id="alerts-title">
        Alerts
        <small>
          {unavailable
            ? 'not available'
            : `${firing} firing, ${alerts.length - firing} pending${rules === undefined ? '' : `, ${rules} rules loaded`}`}
        </small>
      </h2>
      {unavailable && <p class="card note"><strong>Not available</strong> {unavailable}</p>}
      {!unavailable && !alerts.length && (
        <p class="card note"><Icon name="ok" /> Nothing is firing or pending.</p>
      )}
      {alerts.length > 0 && (
        <ul class="card alert-list">
          {alerts.slice(0, limit.value).map((alert) => <Row key={alert.id} alert={alert} />)}
        </ul>
      )}
      {alerts.length > limit.value && (
        <button type="button" class="more-rows" onClick={() => (limit.value += 200)}>
          {alerts.length - limit.value} more
        </button>
      )}
    </section>
  );
}

function Row({ alert }: { alert: Alert }) {
  const open = useSignal(false);
  const runbook = runbookUrl(alert.runbook);
  const age = duration((Date.now() + engine.skew) / 1000 - alert.since);
  return (
    <li class={`alert-row sev-${alert.severity} is-${alert.state}`}>
      <details onToggle={(e) => (open.value = e.currentTarget.open)}>
        <summary>
          <span class="severity">
            <Icon name={ICONS[severityRank(alert.severity)] ?? 'info'} />
            {alert.severity}
          </span>
          <span class="state">{alert.state}</span>
          <span class="name">{alert.name}</span>
          <span class="what">{alert.summary}</span>
          <span class="category">{alert.category}</span>
          <span class="value" title="value">{format(alert.value, 'count')}</span>
          <span class="age" title={new Date(alert.since * 1000).toLocaleString()}>{age}</span>
        </summary>
        <div class="alert-more">
          {alert.description && <p>{alert.description}</p>}
          {open.value && runbook && <RunbookText url={runbook} />}
          {alert.expr && <pre><code>{alert.expr}</code></pre>}
          <p class="labels">
            {Object.entries(alert.labels).map(([name, value]) => <code key={name}>{name}="{value}"</code>)}
          </p>
          {alert.runbook && !runbook && <p class="place">Runbook: <code>{alert.runbook}</code></p>}
          {alert.place && <p class="place">Rule: <code>{alert.place}</code></p>}
        </div>
      </details>
      {runbook && (
        <a class="runbook" href={runbook} target="_blank" rel="noreferrer" aria-label={`Runbook of ${alert.name}`}>
          <Icon name="book" /> runbook
        </a>
      )}
    </li>
  );
}
