"""Ten dashboard queries against three servers over the same data, one after the other in turn: wall time at the client and
CPU of the server, medians; then the table and the ratios.

    queries.py INTERVAL END ROUNDS URL,PID,NAME …       the first server is compared with the others

INTERVAL is the scrape's, in seconds: windows and steps are multiples of it, as they are of 5 s in the queries' usual form.
END is the time of instant queries and of the last step."""
import http.client, json, math, statistics, sys, time, urllib.parse

INTERVAL, END, ROUNDS = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
STEPS, STEP = 180, 2 * INTERVAL
MINUTES = {minutes: f"[{minutes * 12 * INTERVAL}s]" for minutes in (1, 5)}
QUERIES = [query.replace("[5m]", MINUTES[5]).replace("[1m]", MINUTES[1]) for query in (
    'requests_total',
    'requests_total{job="job-3"}',
    'sum by (job) (rate(requests_total[5m]))',
    'sum by (job, code) (rate(requests_total{code!="2"}[1m]))',
    'topk(5, sum by (instance) (rate(requests_total[5m])))',
    'histogram_quantile(0.95, sum by (job, le) (rate(latency_seconds_bucket[5m])))',
    'histogram_quantile(0.99, rate(latency_seconds_bucket[5m]))',
    'memory_used_bytes / memory_total_bytes',
    '1 - avg by (job) (memory_used_bytes / on (instance, part) memory_total_bytes)',
    'max_over_time(memory_used_bytes[5m]) > 0.5e9',
)]


class Server:
    def __init__(self, argument):
        url, pid, self.name = argument.split(",")
        self.http = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc)
        self.clock = (~int(pid) << 3) | 2

    def ask(self, kind, parameters):
        """Wall and CPU time in milliseconds, and the body."""
        self.http.connect()
        cpu, start = time.clock_gettime_ns(self.clock), time.perf_counter_ns()
        self.http.request("GET", f"/api/v1/{kind}?" + urllib.parse.urlencode(parameters), headers={"Accept-Encoding": "gzip"})
        answer = self.http.getresponse()
        body = answer.read()
        wall = time.perf_counter_ns() - start
        self.http.close()
        assert answer.status == 200, (self.name, parameters, body[:300])
        return wall / 1e6, (time.clock_gettime_ns(self.clock) - cpu) / 1e6, answer.headers, body


def rows(headers, body):
    import gzip
    text = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
    return len(json.loads(text)["data"]["result"])


def mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


servers = [Server(argument) for argument in sys.argv[4:]]
kinds = {"query": lambda query: {"query": query, "time": END, "nocache": 1},
         "query_range": lambda query: {"query": query, "start": END - (STEPS - 1) * STEP, "end": END, "step": STEP, "nocache": 1}}
print("| query | kind | " + " | ".join(f"{s.name} wall (CPU), ms" for s in servers) + " | rows |")
print("|---|---|" + "---|" * len(servers) + "---|")
means = {kind: [([], []) for _ in servers] for kind in kinds}
for query in QUERIES:
    for kind, parameters in kinds.items():
        parameters = parameters(query)
        found = [rows(*server.ask(kind, parameters)[2:]) for server in servers]
        times = [([], []) for _ in servers]
        for _ in range(ROUNDS):
            for server, (walls, cpus) in zip(servers, times):
                wall, cpu, *_ = server.ask(kind, parameters)
                walls.append(wall), cpus.append(cpu)
        medians = [(statistics.median(walls), statistics.median(cpus)) for walls, cpus in times]
        for (walls, cpus), (wall, cpu) in zip(means[kind], medians):
            walls.append(wall), cpus.append(max(cpu, 1e-3))
        cells = " | ".join(f"{wall:.2f} ({cpu:.2f})" for wall, cpu in medians)
        print(f"| `{query}` | {'instant' if kind == 'query' else 'range'} | {cells} | {', '.join(map(str, dict.fromkeys(found)))} |", flush=True)
print()
for kind, of in means.items():
    (own_wall, own_cpu), *others = [(mean(walls), mean(cpus)) for walls, cpus in of]
    against = "; ".join(f"1/{wall / own_wall:.1f} ({cpu / own_cpu:.1f}) of {server.name}'s {wall:.2f} ms ({cpu:.2f})"
                        for server, (wall, cpu) in zip(servers[1:], others))
    print(f"geometric mean, {kind}: {servers[0].name} {own_wall:.2f} ms (CPU {own_cpu:.2f}), {against}; target 1/8")
