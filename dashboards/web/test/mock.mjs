// A stand-in for the daemon: it serves the built page and answers as the real one does, from smooth
// synthetic data that is a function of time alone, so that the past and the present agree.
//   node test/mock.mjs [--port N] [--prefix /p] [--no-stream] [--bare] [--incident]
// --bare has no GPU, models or workers; --incident has many alerts. Prints its address.
import { readFileSync, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modules } from './modules.mjs';

const WEB = fileURLToPath(new URL('..', import.meta.url));
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.txt': 'text/plain' };

/** The page's own reader and evaluator of PromQL answer `query_range` here. */
async function pageModules() {
  const { loaded, close } = await modules('promql/parse', 'promql/eval', 'data/store');
  return Object.assign({ close }, ...loaded);
}

const wave = (t, period, phase = 0) => 0.5 + 0.5 * Math.sin((2 * Math.PI * t) / period + phase);
/** The integral of a + b·wave over time: a counter whose rate is that wave. */
const count = (t, a, b, period, phase = 0) =>
  a * t + b * (t / 2 - (period / (4 * Math.PI)) * Math.cos((2 * Math.PI * t) / period + phase));

const GI = 1024 ** 3;
const OWN = '127.0.0.1:9480';
const BOOT = Math.floor(Date.now() / 1000) - 273_000;

/** Processes as the daemon lists them, in the order that is asked for. */
function processes(q) {
  const t = Date.now() / 1000;
  const of = (pid, name, group, cpu, rss) => ({
    pid, parent: 1, name, user: pid % 2 ? 'ai' : 'root', group, state: 'S', cpu_percent: cpu, rss_bytes: rss, pss_bytes: group ? rss * 0.9 : null,
    threads: pid % 7, open_fds: pid % 90, read_bytes_per_second: 0, write_bytes_per_second: pid * 10, start_time: t - pid, cmdline: `/usr/bin/${name}`,
  });
  const all = [of(4100, 'llama-server', 'llama-server', 130, 6.5 * GI), of(4200, 'vllm', 'vllm', 90, 5 * GI), of(900, 'sshd', null, 0, 9e6)];
  const fields = { cpu: 'cpu_percent', rss: 'rss_bytes', pss: 'pss_bytes', fds: 'open_fds', read: 'read_bytes_per_second', write: 'write_bytes_per_second', start: 'start_time' };
  const field = fields[q.get('sort')] ?? q.get('sort');
  const sign = q.get('order') === 'asc' ? 1 : -1;
  return all.sort((a, b) => (a[field] === null) - (b[field] === null) || sign * (a[field] < b[field] ? -1 : a[field] > b[field] ? 1 : 0));
}

/** Every series at `t` seconds: [name, labels, value]. */
export function sampleAt(t, { bare = false } = {}) {
  const s = [];
  const add = (name, labels, value) => s.push([name, labels, value]);
  const up = t - BOOT;
  for (let cpu = 0; cpu < 16; cpu += 1) {
    const phase = cpu * 0.6;
    const user = count(up, 0.05 + 0.02 * (cpu % 5), 0.4, 97 + cpu * 7, phase);
    const system = count(up, 0.03, 0.08, 61, phase);
    const iowait = count(up, 0.002, 0.02, 143, phase);
    const modes = { user, system, iowait, nice: 0, irq: 0, softirq: 0.004 * up, steal: 0, idle: up * 0.996 - user - system - iowait };
    for (const mode in modes) add('node_cpu_seconds_total', { cpu: String(cpu), mode }, modes[mode]);
  }
  add('node_load1', {}, 3 + 2.5 * wave(t, 240));
  add('node_load5', {}, 3.4 + 1.2 * wave(t, 500));
  add('node_load15', {}, 3.6);
  add('node_memory_MemTotal_bytes', {}, 62.7 * GI);
  add('node_memory_MemAvailable_bytes', {}, (34 - 6 * wave(t, 420)) * GI);
  add('node_memory_Cached_bytes', {}, (17 + 1.5 * wave(t, 330)) * GI);
  add('node_memory_Buffers_bytes', {}, 0.8 * GI);
  add('node_memory_SwapTotal_bytes', {}, 8 * GI);
  add('node_memory_SwapFree_bytes', {}, 7.6 * GI);
  for (const device of ['nvme0n1', 'sda']) {
    const scale = device === 'sda' ? 0.1 : 1;
    add('node_disk_read_bytes_total', { device }, scale * count(up, 2e5, 9e6, 83));
    add('node_disk_written_bytes_total', { device }, scale * count(up, 1.2e6, 2.2e7, 131, 1));
  }
  for (const [device, a, b] of [['eth0', 4e4, 9e5], ['lo', 2e5, 3e6], ['docker0', 100, 4000]]) {
    add('node_network_receive_bytes_total', { device }, count(up, a, b, 71));
    add('node_network_transmit_bytes_total', { device }, count(up, a * 0.6, b * 0.4, 53, 2));
  }
  add('node_pressure_cpu_waiting_seconds_total', {}, count(up, 0.002, 0.05, 97));
  add('node_pressure_io_waiting_seconds_total', {}, count(up, 0.001, 0.012, 143));
  add('node_pressure_memory_waiting_seconds_total', {}, 3);
  for (const [mountpoint, size, used] of [['/', 250, 0.63], ['/data', 1900, 0.81], ['/boot/efi', 0.5, 0.07]]) {
    const labels = { device: '/dev/x', fstype: 'ext4', mountpoint };
    add('node_filesystem_size_bytes', labels, size * GI);
    add('node_filesystem_avail_bytes', labels, size * (1 - used) * GI);
  }
  for (const chip of ['coretemp', 'nvme']) add('node_hwmon_temp_celsius', { chip, sensor: 'temp1' }, 45 + 12 * wave(t, 300, chip.length));
  add('node_time_seconds', {}, t);
  add('node_boot_time_seconds', {}, BOOT);
  add('node_uname_info', { nodename: 'anvil', release: '6.1.0', sysname: 'Linux' }, 1);
  add('process_cpu_seconds_total', {}, 0.004 * up);
  add('process_resident_memory_bytes', {}, 27.4 * 1024 ** 2);
  add('watchfire_build_info', { version: '0.1.0' }, 1);
  if (bare) return s;
  add('watchfire_demo', {}, 1);
  for (const [gpu, phase] of [['0', 0], ['1', 1.7]]) {
    const labels = { gpu, uuid: `GPU-${gpu}000`, name: 'NVIDIA H100' };
    add('gpu_utilization_ratio', labels, 0.35 + 0.6 * wave(t, 110, phase));
    add('gpu_memory_used_bytes', labels, (48 + 14 * wave(t, 380, phase)) * GI);
    add('gpu_memory_total_bytes', labels, 80 * GI);
    add('gpu_temperature_celsius', labels, 48 + 22 * wave(t, 170, phase));
    add('gpu_power_watts', labels, 180 + 420 * wave(t, 110, phase));
  }
  [['vllm', 'qwen3-32b', 640, 4], ['llamacpp', 'llama-3.1-8b', 90, 1]].forEach(([runtime, model, speed, slots], i) => {
    const labels = { target: `${runtime}-${8000 + i}`, runtime, model };
    add('llm_target_up', labels, 1);
    add('llm_generation_tokens_total', labels, count(up, speed * 0.2, speed, 127, i));
    add('llm_prompt_tokens_total', { ...labels, cached: 'false' }, count(up, speed, speed * 4, 89, i));
    add('llm_prompt_tokens_total', { ...labels, cached: 'true' }, count(up, speed * 0.6, speed, 89, i));
    add('llm_requests_running', labels, Math.round(slots * 3 * wave(t, 127, i)));
    add('llm_requests_waiting', labels, Math.round(Math.max(0, slots * 4 * wave(t, 211, i) - slots * 2)));
    add('llm_kv_cache_usage_ratio', labels, 0.2 + 0.6 * wave(t, 190, i));
    for (const [family, middle] of [['llm_time_to_first_token_seconds', 0.3], ['llm_inter_token_latency_seconds', 0.02]]) {
      for (const le of [0.1, 0.25, 0.5, 1, 2, 4, Infinity]) {
        const bound = le * middle * 2;
        const share = le === Infinity ? 1 : 1 - Math.exp(-bound / middle);
        add(`${family}_bucket`, { ...labels, le: le === Infinity ? '+Inf' : String(bound) }, share * count(up, 2, 3, 127, i));
      }
    }
  });
  for (const [group, procs, gib, cores] of [['vllm', 5, 21, 2.2], ['llama-server', 1, 6.2, 1.1], ['agent', 12, 2.4, 0.7], ['indexer', 2, 0.9 + ((t / 60) % 40) * 0.05, 0.3]]) {
    const phase = group.length;
    add('worker_group_procs', { group }, procs);
    add('worker_group_cpu_seconds_total', { group, mode: 'user' }, count(up, cores * 0.3, cores, 97, phase));
    add('worker_group_cpu_seconds_total', { group, mode: 'system' }, count(up, 0.02, 0.1, 61, phase));
    add('worker_group_memory_bytes', { group, type: 'rss' }, gib * GI);
    add('worker_group_memory_bytes', { group, type: 'swap' }, 0);
    add('worker_group_threads', { group }, procs * 14);
    add('worker_group_open_fds', { group }, procs * 61);
  }
  [['coder-1', 1, 0.62, 0], ['reviewer', 2, 0.2, 0], ['night-shift', 0, undefined, 840]].forEach(([worker, state, used, idle], i) => {
    const labels = { project: 'anvil', worker };
    ['idle', 'running', 'paused'].forEach((word, n) => add('worker_agent_status', { ...labels, worker_agent_status: word }, Number(n === state)));
    add('worker_agent_run_tokens', labels, Math.round(1000 + (state === 1 ? up * 40 : 0)));
    if (used !== undefined) add('worker_agent_tokens_usage_ratio', labels, used);
    add('worker_agent_idle_seconds', labels, idle);
    add('worker_agent_queue_length', labels, 3 - i);
    add('worker_agent_cpu_ratio', labels, state === 1 ? 0.4 : 0.01);
    add('worker_agent_resident_memory_bytes', labels, (0.3 + i * 0.1) * GI);
    add('worker_agent_reapable', labels, Number(idle > 600));
    add('worker_agent_zombie', labels, 0);
    add('worker_agent_last_heartbeat_timestamp_seconds', labels, t - 1);
  });
  return s;
}

const text = ([name, labels]) => {
  const inside = Object.entries(labels).map(([k, v]) => `${k}=${JSON.stringify(v)}`).join(',');
  return inside ? `${name}{${inside}}` : name;
};

const RULES = [
  ['HostMemoryHigh', 'warning', 'host', '1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes > 0.9', 'Memory of anvil is 91 % used'],
  ['WorkerMemoryGrows', 'warning', 'worker', 'deriv(worker_group_memory_bytes{type="rss"}[30m]) > 1e5', 'indexer grows by 3 MiB a minute'],
  ['GpuHot', 'critical', 'gpu', 'gpu_temperature_celsius > 85', 'GPU 1 is at 87 °C and will slow down'],
  ['ModelQueueLong', 'info', 'model', 'llm_requests_waiting > 4', 'qwen3-32b lets 6 requests wait'],
];

function alerts({ bare, incident }) {
  const n = incident ? 400 : bare ? 0 : RULES.length - 1;
  return Array.from({ length: n }, (_, i) => {
    const [alertname, severity, category, , summary] = RULES[(i + 1) % RULES.length];
    return {
      labels: { alertname, severity, category, instance: `127.0.0.1:${9480 + i}` },
      annotations: { summary, description: 'What it means, what to look at first, and what usually helps.', runbook_url: `https://example.invalid/runbook#${alertname.toLowerCase()}` },
      state: i % 3 === 2 ? 'pending' : 'firing',
      activeAt: new Date(Date.now() - (i + 1) * 437_000).toISOString(),
      value: '8.712e+01',
    };
  });
}

const rules = () => ({
  groups: [{
    name: 'all', file: 'rules/host.yml', interval: 1,
    rules: RULES.map(([name, severity, , query], i) => ({ name, query, type: 'alerting', line: 12 + i * 14, labels: { severity }, annotations: {}, health: 'ok', duration: 30, state: 'inactive', alerts: [] })),
  }],
});

/** Whole seconds are asked for again and again by queries over a range. */
function pastOf(options) {
  const past = new Map();
  return (t) => {
    if (!past.has(t)) past.set(t, sampleAt(t, options).map((s) => [...s, text(s)]));
    if (past.size > 2000) past.delete(past.keys().next().value);
    return past.get(t);
  };
}

/** Starts the server. `options`: port, prefix, stream, bare, incident, delayMs. */
export async function start(options = {}) {
  const { port = 0, prefix = '', stream = true } = options;
  const page = await pageModules();
  const cachedAt = pastOf(options);
  for (let t = Math.floor(Date.now() / 1000) - 700; t < Date.now() / 1000; t += 1) cachedAt(t);
  const streams = new Set();
  const requests = [];
  let silent = false;

  const ringLabels = ([name, labels]) => ({ __name__: name, ...labels, job: /^(process|watchfire)_/.test(name) ? 'watchfire' : 'node', instance: OWN });
  const range = (q) => {
    const expr = page.parse(q.get('query'));
    const [from, to, step] = ['start', 'end', 'step'].map((k) => Number(q.get(k)));
    const store = new page.SeriesStore();
    const series = new Map();
    const wanted = new Set(q.get('query').match(/[a-z_][a-z0-9_]*/gi));
    const result = new Map();
    for (let t = from - 60; t <= to; t += 1) {
      for (const sample of cachedAt(t)) {
        if (!wanted.has(sample[0])) continue;
        const id = sample[3];
        if (!series.has(id)) series.set(id, store.add(ringLabels(sample)));
        series.get(id).push(t * 1000, sample[2]);
      }
      if (t < from || (t - from) % step) continue;
      for (const { labels, value } of page.evaluate(expr, store, t * 1000)) {
        const id = JSON.stringify(labels);
        if (!result.has(id)) result.set(id, { metric: labels, values: [] });
        if (Number.isFinite(value)) result.get(id).values.push([t, String(value)]);
      }
    }
    return { resultType: 'matrix', result: [...result.values()] };
  };

  const live = (request, response, q) => {
    const names = new Set(q.getAll('match[]').map((m) => m.replace(/\{.*/s, '')));
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    const send = (event, data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    const ids = new Map();
    const tick = () => {
      if (silent) return response.write(': still here\n\n');
      const ts = Date.now();
      const now = sampleAt(ts / 1000, options).filter(([name]) => names.has(name));
      const fresh = now.some((s) => !ids.has(text(s)));
      for (const s of now) if (!ids.has(text(s))) ids.set(text(s), { id: ids.size + 1, labels: ringLabels(s) });
      if (fresh) send('series', { series: [...ids.values()] });
      // One tick a group, as the daemon's collectors run apart.
      for (const part of [/^node_|^process_|^watchfire_/, /^gpu_/, /^worker_/, /^llm_/]) {
        const values = now.filter(([name]) => part.test(name)).map((s) => [ids.get(text(s)).id, s[2]]);
        if (values.length) send('tick', { ts, values });
      }
    };
    response.write('retry: 1000\n\n');
    tick();
    const timer = setInterval(tick, 1000);
    streams.add(response);
    request.on('close', () => {
      clearInterval(timer);
      streams.delete(response);
    });
  };

  const json = (response, data) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ status: 'success', data }));
  };

  const asset = (path, response) => {
    const file = join(WEB, 'dist', normalize(path === '/' ? '/index.html' : path));
    if (!existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end('not found');
    response.writeHead(200, {
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      'content-security-policy': "default-src 'self'",
      'x-content-type-options': 'nosniff',
    });
    response.end(readFileSync(file));
  };

  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://x');
    requests.push(url.pathname);
    if (!url.pathname.startsWith(prefix)) return response.writeHead(404).end();
    const path = url.pathname.slice(prefix.length) || '/';
    const q = url.searchParams;
    if (path === '/metrics') {
      response.writeHead(200, { 'content-type': 'application/openmetrics-text; version=1.0.0' });
      const now = Math.floor(Date.now() / 1000);
      return response.end(`${sampleAt(now, options).map((s) => `${text(s)} ${s[2]}`).join('\n')}\n# EOF\n`);
    }
    if (path === '/api/v1/query_range') return json(response, range(q));
    if (path === '/api/v1/query') {
      const at = Date.now() / 1000;
      return json(response, { resultType: 'vector', result: [{ metric: { job: 'watchfire', instance: OWN }, value: [at, String(at)] }] });
    }
    if (path === '/api/v1/targets') return json(response, { activeTargets: [], droppedTargets: [] });
    if (path === '/api/v1/alerts') return json(response, { alerts: alerts(options) });
    if (path === '/api/v1/rules') return json(response, rules());
    if (path === '/api/watchfire/v1/processes') return json(response, processes(q));
    if (path === '/api/watchfire/v1/live' && stream) return live(request, response, q);
    asset(path, response);
  });
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${server.address().port}${prefix}/`,
    requests,
    streams,
    /** Keeps the stream open and sends nothing, so that data becomes stale. */
    silence: (on) => (silent = on),
    /** Tells all pages that they lost ticks. */
    resync: () => streams.forEach((response) => response.write('event: resync\ndata: {}\n\n')),
    close: async () => {
      for (const response of streams) response.end();
      server.closeAllConnections();
      server.close();
      await page.close();
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const flag = (name) => process.argv.includes(`--${name}`);
  const option = (name, other) => (flag(name) ? process.argv[process.argv.indexOf(`--${name}`) + 1] : other);
  const mock = await start({
    port: Number(option('port', 0)), prefix: option('prefix', ''), stream: !flag('no-stream'), bare: flag('bare'), incident: flag('incident'),
  });
  console.log(mock.url);
}
