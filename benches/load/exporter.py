"""One page of 10,000 series on loopback, as 20 instances of 500 series would give it: 200 counters, 200 histogram buckets,
50 used and 50 total bytes each. Everything depends on the clock alone, so that all who scrape see the same.

    exporter.py PORT INTERVAL [INSTANCES]       values step once per INTERVAL seconds

Whatever is posted is taken and forgotten: a receiver for those who insist on sending alerts."""
import gzip, http.server, sys, threading, time

PORT, INTERVAL = int(sys.argv[1]), float(sys.argv[2])
INSTANCES = int(sys.argv[3]) if len(sys.argv) > 3 else 20
START = int(time.time() / INTERVAL) - 1000


def families():
    """name, type and (labels, number of the series, what it does) of each series; a family's series stand together."""
    counters, buckets, used, total = [], [], [], []
    for target in range(INSTANCES):
        of = f'instance="host-{target}:9100",job="job-{target % 5}"'
        for i in range(200):
            counters.append((f'requests_total{{{of},handler="{i // 5}",code="{i % 5}"}}', i % 17 + 1 + target, i))
        for i in range(200):
            le = "+Inf" if i % 10 == 9 else f"{0.01 * (1 << i % 10):g}"
            buckets.append((f'latency_seconds_bucket{{{of},handler="{i // 10}",le="{le}"}}', (i % 10 + 1) * (1 + i // 50), 0))
        for i in range(50):
            used.append((f'memory_used_bytes{{{of},part="{i}"}}', None, target * 500 + i))
            total.append((f'memory_total_bytes{{{of},part="{i}"}}', 0, 10**9))
    return [("requests_total", "counter", counters), ("latency_seconds", "histogram", buckets),
            ("memory_used_bytes", "gauge", used), ("memory_total_bytes", "gauge", total)]


FAMILIES = families()


def page(tick):
    out = []
    for name, kind, series in FAMILIES:
        out.append(f"# HELP {name} Made up.\n# TYPE {name} {kind}")
        for labels, step, first in series:
            value = (tick * 7919 + first * 104729) % 1000 * 1000000 if step is None else first + step * tick
            out.append(f"{labels} {value}")
    text = "\n".join(out).encode() + b"\n"
    return text, gzip.compress(text, 1)


class Pages:
    lock, tick, page = threading.Lock(), None, None

    @classmethod
    def now(cls):
        with cls.lock:
            tick = int(time.time() / INTERVAL) - START
            if tick != cls.tick:
                cls.tick, cls.page = tick, page(tick)
            return cls.page


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, *headers):
        self.send_response(200)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        packed = "gzip" in self.headers.get("Accept-Encoding", "")
        body = Pages.now()[packed]
        self.answer(body, ("Content-Type", "text/plain; version=0.0.4"), *[("Content-Encoding", "gzip")] * packed)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(b"{}", ("Content-Type", "application/json"))

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client):
        """Who asked has gone."""


Server(("127.0.0.1", PORT), Handler).serve_forever()
