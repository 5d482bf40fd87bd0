import { duration, format } from '../format';
import { Lazy, Wait } from './folded';
import { usePoll } from './poll';
import { engine } from './state';

/** A scrape target, as `api/v1/targets` tells it. */
interface Target {
  scrapePool: string;
  scrapeUrl: string;
  health: 'up' | 'down' | 'unknown';
  lastError: string;
  lastScrape: string;
  lastScrapeDuration: number;
}

const EVERY_MS = 5_000;
/** Rows drawn at most: what is down comes first, the API has all. */
const ROWS = 100;
const ORDER = ['down', 'unknown', 'up'];

/** The pages that the daemon reads, and how that goes. */
export function Targets() {
  return <Lazy id="targets" title="Scrape targets" hint="pages that are read, and how that goes" body={Table} />;
}

function Table() {
  const { data, trouble } = usePoll<{ activeTargets: Target[] }>('api/v1/targets?state=active', EVERY_MS);
  if (!data) return <Wait trouble={trouble} />;
  const all = [...data.activeTargets].sort((a, b) => ORDER.indexOf(a.health) - ORDER.indexOf(b.health));
  if (!all.length) return <p class="card note">No page is read: the configuration has no scrape_configs, or they find no target.</p>;
  const up = all.filter((t) => t.health === 'up').length;
  return (
    <div class="card table-card wide" id="panel-targets">
      <p class="explain">{trouble || `${up} of ${all.length} up.${all.length > ROWS ? ` The first ${ROWS} are here, the API has all.` : ''}`}</p>
      <div class="scroll" tabIndex={0} role="region" aria-label="Scrape targets">
        <table class="data targets">
          <thead>
            <tr>
              {['Pool', 'Target', 'Health', 'Last scrape', 'Took', 'Last error'].map((title) => <th scope="col" key={title}>{title}</th>)}
            </tr>
          </thead>
          <tbody>
            {all.slice(0, ROWS).map((t) => {
              const seen = t.health !== 'unknown';
              return (
                <tr key={`${t.scrapePool} ${t.scrapeUrl}`}>
                  <th scope="row">{t.scrapePool}</th>
                  <td class="text">{t.scrapeUrl}</td>
                  <td><span class={`status health-${t.health}`}>{t.health}</span></td>
                  <td>{seen ? `${duration((engine.now - Date.parse(t.lastScrape)) / 1000)} ago` : '–'}</td>
                  <td>{format(seen ? t.lastScrapeDuration : undefined, 'seconds')}</td>
                  <td class="text" title={t.lastError}>{t.lastError || '–'}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </div>
  );
}
