"""1,000 alert rules in 20 groups over exporter.py's page, as a Prometheus rule file on standard output.

    rules.py shared      50 heavy subexpressions, each with 20 thresholds
    rules.py distinct    1,000 different expressions

Ten rules fire in each mix, those with the lowest threshold of their kind; all others are evaluated to nothing."""
import re, sys

RATE, BUCKET, USED, TOTAL = "requests_total", "latency_seconds_bucket", "memory_used_bytes", "memory_total_bytes"


def shared():
    """(subexpression, a threshold that nothing reaches), 50 of them: ten kinds over each of five jobs, a fifth of the page."""
    for kind in (
        ("sum by (instance) (rate(R[5m]))", 1e6),
        ("sum by (code) (rate(R[1m]))", 1e6),
        ("sum by (handler) (rate(R[4m]))", 1e6),
        ("histogram_quantile(0.99, sum by (le) (rate(B[5m])))", 100),
        ("histogram_quantile(0.9, sum by (instance, le) (rate(B[2m])))", 100),
        ("histogram_quantile(0.5, sum by (handler, le) (rate(B[3m])))", 100),
        ('sum by (instance) (rate(R, code=~"3|4"[2m])) / sum by (instance) (rate(R[2m]))', 2),
        ("1 - avg by (instance) (U / on (instance, part) T)", 2),
        ("sum by (instance, code) (rate(R[3m])) / on (instance) group_left sum by (instance) (rate(R[3m]))", 2),
        ("max_over_time(U[5m]) / T", 2),
    ):
        for job in range(5):
            yield selectors(kind[0], f'job="job-{job}"'), kind[1]


def selectors(kind, matcher):
    """R, B, U and T become selectors with the matcher, and with what stands behind a comma up to the window."""
    names = {"R": RATE, "B": BUCKET, "U": USED, "T": TOTAL}
    return re.sub(r"\b([RBUT])\b(, [^\[]*)?", lambda found: f"{names[found[1]]}{{{matcher}{found[2] or ''}}}", kind)


def distinct():
    """(expression, a threshold that nothing reaches), 1,000 of them; no two read the same series over the same window."""
    for i in range(100):
        window = f"{60 + 15 * (i % 17)}s"
        one, job, code, part = f'instance="host-{i % 20}:9100"', f'job="job-{i % 5}"', f'code="{i // 5 % 5}"', i % 50
        two = f'instance=~"host-{i % 20}:9100|host-{(i + 1 + i // 20) % 20}:9100"'
        low, high = i // 17 * 6, i // 17 * 6 + 2 + i % 3
        handlers = f'handler=~"{"|".join(str(h) for h in range(low, high))}"'
        parts = f'part=~"{part}|{(part + i // 50 + 1) % 50}"'
        halves = f'handler=~"{"|".join(str(h // 2) for h in range(low, high + 2, 2))}"'
        yield f"sum by (job, code) (rate({RATE}{{{handlers}}}[{window}]))", 1e6
        yield f"max by (instance) (increase({RATE}{{{code}, {handlers}}}[{window}]))", 1e7
        yield f"histogram_quantile(0.{50 + i % 50}, sum by (instance, le) (rate({BUCKET}{{{halves}}}[{window}])))", 100
        yield f"histogram_quantile(0.{50 + i % 50}, sum by (handler, le) (rate({BUCKET}{{{one}}}[{60 + i // 20 * 40}s])))", 100
        yield (f"sum by (instance) (rate({RATE}{{{code}, {two}}}[{61 + i}s]))"
               f" / sum by (instance) (rate({RATE}{{{two}}}[{61 + i}s]))"), 2
        yield f"{('avg', 'max', 'min', 'stddev')[i % 4]}_over_time({USED}{{{one}}}[{60 + i}s])", 1e10
        yield (f"quantile by (job) (0.{10 + i % 80}, {USED}{{{parts}}}"
               f" / on (instance, part) {TOTAL}{{{parts}}})"), 2
        yield (f"sum by (instance, handler) (rate({RATE}{{{one}}}[{100 + i}s]))"
               f" / on (instance) group_left sum by (instance) (rate({RATE}{{{one}}}[{100 + i}s]))"), 2
        yield f"sum(count_over_time({USED}{{part=\"{part}\"}}[{70 + i}s])) / count({RATE}{{handler=\"{i % 40}\", {job}}})", 1e5
        yield f"topk(3, sum by (handler) (rate({RATE}{{{code}, instance=~\"host-{i % 10}.*\"}}[{window}])))", 1e6


def mixed(mix):
    if mix == "shared":
        firing = 0
        for n, (expr, top) in enumerate(shared()):
            for level in range(20):
                fires = level == 0 and n % 5 == 0
                yield expr, -1 if fires else top * (1 + level)
    else:
        for i, (expr, top) in enumerate(distinct()):
            yield expr, -1 if i % 101 == 0 else top


rules = list(mixed(sys.argv[1]))
assert len(rules) == 1000 and len(set(rules)) == 1000, len(set(rules))
print("groups:")
for group in range(20):
    print(f"- name: bench-{group}\n  interval: 5s\n  rules:")
    for i in range(group * 50, group * 50 + 50):
        expr, threshold = rules[i]
        print(f"  - alert: Bench{i}\n    expr: '{expr} > {threshold:g}'\n    for: {0 if i % 2 else 5}s")
        print(f"    labels: {{severity: {'page' if i % 2 else 'ticket'}}}")
        print("    annotations: {summary: '{{ $labels.job }} {{ $labels.instance }} is at {{ $value }}', runbook: 'http://127.0.0.1/'}")
