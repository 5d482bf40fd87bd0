"""An agent that tells a watchfire what it does: python3 examples/worker.py http://127.0.0.1:9480

The heartbeats come from a thread of their own; the agent only says what changed.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients", "python"))

from watchfire_worker import Worker  # noqa: E402


def ask_a_model(task: str) -> int:
    """Stands for the real work; answers how many tokens it took."""
    return 100 * len(task)


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:9480"
    tasks = ["read", "think", "write"]
    with Worker(url, "example-python", project="example", labels={"language": "python"}, token_limit=10_000) as worker:
        for run in (1, 2):
            with worker.run("run-%d" % run):
                for step, task in enumerate(tasks):
                    worker.set_queue(len(tasks) - step - 1)
                    worker.add_tokens(ask_a_model(task))
    print(worker.stats())


if __name__ == "__main__":
    main()
