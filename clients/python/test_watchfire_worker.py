"""Tests of watchfire_worker.py against a real daemon: WATCHFIRE_BINARY=target/debug/watchfire python3 -m unittest -v"""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request
import warnings
from typing import Any, Callable, Dict, List, Optional

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from watchfire_worker import Worker  # noqa: E402

BINARY = os.environ.get("WATCHFIRE_BINARY", "watchfire")
PATIENCE = 30.0


def wait_for(what: str, probe: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError("waited %g s for %s, in vain" % (PATIENCE, what))
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Daemon:
    """The real binary on a port that it keeps over restarts."""

    def __init__(self, *args: str) -> None:
        self.port, self.data, self.args = free_port(), tempfile.TemporaryDirectory(), args
        self.url = "http://127.0.0.1:%d" % self.port
        self.process: Optional[subprocess.Popen] = None
        self.start()

    def start(self) -> None:
        listen = "--web.listen-address=127.0.0.1:%d" % self.port
        command = [BINARY, listen, "--storage.path", self.data.name, *self.args]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("the daemon", lambda: self.ask("/-/ready") is not None)

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE)
            self.process = None

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        self.data.cleanup()

    def ask(self, path: str, token: Optional[str] = None) -> Optional[bytes]:
        request = urllib.request.Request(self.url + path)
        if token:
            request.add_header("Authorization", "Bearer " + token)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.read()
        except OSError:
            return None

    def worker(self, name: str, token: Optional[str] = None) -> Dict[str, Any]:
        body = self.ask("/api/watchfire/v1/workers", token)
        workers = json.loads(body)["data"]["workers"] if body else []
        return next((worker for worker in workers if worker["id"] == name), {})

    def runs(self, project: str) -> List[Dict[str, Any]]:
        body = self.ask("/api/watchfire/v1/runs?project=" + project)
        return json.loads(body)["data"]["runs"] if body else []


class AgainstTheDaemon(unittest.TestCase):
    def setUp(self) -> None:
        self.daemon = Daemon()
        self.addCleanup(self.daemon.close)

    def test_says_what_it_does(self) -> None:
        labels = {"team": "x"}
        with Worker(self.daemon.url, "py-1", project="p", labels=labels, token_limit=100, ttl_seconds=60, interval=0.1) as worker:
            wait_for("the first heartbeat", lambda: self.daemon.worker("py-1").get("status") == "idle")
            with worker.run("r1") as run:
                self.assertEqual(run, "r1")
                worker.add_tokens(5)
                worker.add_tokens(7)
                worker.set_queue(3)
                worker.set_in_flight(1)
                seen = wait_for("its tokens", lambda: self.has_tokens("py-1", 12))
                self.assertEqual((seen["status"], seen["run_id"], seen["project"]), ("running", "r1", "p"))
                self.assertEqual((seen["pid"], seen["queue"], seen["in_flight"]), (os.getpid(), 3, 1))
                self.assertEqual((seen["tokens"]["usage_percent"], seen["labels"]), (12.0, labels))
                self.assertGreater(seen["rss_bytes"], 0)
                worker.paused()
                wait_for("the pause", lambda: self.daemon.worker("py-1")["status"] == "paused")
            with self.assertRaises(RuntimeError):
                with worker.run("r2"):
                    worker.add_tokens(1)
                    wait_for("the second run", lambda: self.has_tokens("py-1", 1))
                    raise RuntimeError("the agent's own")
            wait_for("both runs", lambda: [run["status"] for run in self.daemon.runs("p")] == ["ended", "ended"])
            self.assertEqual([run["tokens"] for run in self.daemon.runs("p")], [1, 12])
            worker.start_run()
            worker.add_tokens(1)
        self.assertEqual(self.daemon.worker("py-1")["status"], "idle", "its last words")
        stats = worker.stats()
        self.assertGreater(stats["sent"], 3)
        self.assertEqual((stats["failed"], stats["refused"], stats["last_error"]), (0, 0, None))

    def has_tokens(self, name: str, tokens: int) -> Dict[str, Any]:
        seen = self.daemon.worker(name)
        return seen if seen.get("tokens", {}).get("current_run") == tokens else {}

    def test_outlives_the_daemon(self) -> None:
        with Worker(self.daemon.url, "py-2", project="p", interval=0.1, timeout=0.5) as worker:
            worker.start_run("long")
            worker.add_tokens(10)
            wait_for("the run", lambda: self.has_tokens("py-2", 10))
            self.daemon.stop(signal.SIGKILL)
            sent = worker.stats()["sent"]
            for _ in range(1000):
                worker.add_tokens(1)
                worker.running()
            wait_for("a failure", lambda: worker.stats()["failed"] > 0)
            self.daemon.start()
            wait_for("the newest state", lambda: self.has_tokens("py-2", 1010))
            wait_for("the answer", lambda: worker.stats()["sent"] > sent)
            self.assertEqual([run["run_id"] for run in self.daemon.runs("p")], ["long"], "the run goes on")

    def test_a_forked_child_speaks_for_itself(self) -> None:
        # The parent says little, so that the child is heard.
        with Worker(self.daemon.url, "py-3", project="p", interval=10) as worker:
            worker.running()
            wait_for("the parent", lambda: self.daemon.worker("py-3").get("status") == "running")
            with warnings.catch_warnings():
                # Newer Pythons warn of forks beside threads, which is what is tried here.
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                worker.set_queue(77)
                worker.running()
                time.sleep(PATIENCE)
                os._exit(0)
            seen = wait_for("the child", lambda: self.heard(child))
            self.assertEqual((seen["pid"], seen["queue"]), (child, 77))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def heard(self, pid: int) -> Dict[str, Any]:
        seen = self.daemon.worker("py-3")
        return seen if seen.get("pid") == pid and seen.get("queue") == 77 else {}

    def test_a_refusal_is_told(self) -> None:
        with Worker(self.daemon.url, "py-4", labels={"pid": "no"}, interval=0.1) as worker:
            wait_for("the refusal", lambda: worker.stats()["refused"])
            self.assertIn("labels.pid", worker.stats()["last_error"])


    def test_what_is_no_count_is_not_sent(self) -> None:
        with Worker(self.daemon.url, "py-5", labels={"lane": 7}, interval=0.1) as worker:  # type: ignore[dict-item]
            for odd in (None, "many", float("nan"), float("inf"), -5, [], 10**30, 3.9):
                worker.add_tokens(odd)  # type: ignore[arg-type]
                worker.set_queue(odd)  # type: ignore[arg-type]
                worker.set_in_flight(odd)  # type: ignore[arg-type]
            worker.set_queue(None)
            worker.start_run(17)  # type: ignore[arg-type]
            worker.add_tokens(4)
            seen = wait_for("the run", lambda: self.has_tokens("py-5", 4))
            self.assertEqual((seen["queue"], seen["in_flight"], seen["run_id"]), (None, 3, "17"))
            self.assertEqual(seen["tokens"]["total_session"], 2**53)
            self.assertEqual((seen["labels"], worker.stats()["refused"]), ({"lane": "7"}, 0))


class OddServers(unittest.TestCase):
    def test_an_answer_that_drips_does_not_hold_the_thread(self) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            ended = threading.Event()

            def drip() -> None:
                while not ended.is_set():
                    taken, _ = listener.accept()
                    with taken:
                        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789":
                            try:
                                taken.sendall(bytes([byte]))
                            except OSError:
                                break
                            if ended.wait(0.1):
                                break

            thread = threading.Thread(target=drip, daemon=True)
            thread.start()
            url = "http://127.0.0.1:%d" % listener.getsockname()[1]
            worker = Worker(url, "py-6", interval=0.1, timeout=0.3)
            wait_for("a second try", lambda: worker.stats()["failed"] >= 2)
            self.assertEqual(worker.stats()["sent"], 0)
            ended.set()
            worker.close()

    def test_what_can_never_work_is_said_at_once(self) -> None:
        url = "http://127.0.0.1:1"
        for bad in ({"url": url + "/p?q"}, {"url": url + "#x"}, {"url": "http://h:x"}, {"token": "\u20ac"}, {"token": "a\nb"}):
            with self.assertRaises(ValueError, msg=str(bad)):
                Worker(**{"url": url, "worker_id": "w", **bad})  # type: ignore[arg-type]


class WithAToken(unittest.TestCase):
    def test_the_token_opens_the_door(self) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".token") as file:
            file.write("correct-horse-battery\n")
            file.flush()
            daemon = Daemon("--web.token-file=" + file.name)
            self.addCleanup(daemon.close)
            with Worker(daemon.url, "w", interval=0.1) as stranger:
                wait_for("the refusal", lambda: stranger.stats()["refused"])
                self.assertTrue(stranger.stats()["last_error"].startswith("401"), stranger.stats())
            with Worker(daemon.url, "w", token="correct-horse-battery", interval=0.1) as worker:
                wait_for("a heartbeat", lambda: worker.stats()["sent"])


class WithoutADaemon(unittest.TestCase):
    def test_nobody_is_slowed(self) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(5)
            for url in ("http://127.0.0.1:1", "http://127.0.0.1:%d" % silent.getsockname()[1], "http://nowhere.invalid"):
                worker = Worker(url, "w", interval=0.1, timeout=0.2)
                since = time.monotonic()
                for _ in range(5000):
                    worker.add_tokens(1)
                    worker.running()
                self.assertLess(time.monotonic() - since, 5, url)
                wait_for("a failure", lambda: worker.stats()["failed"])
                since = time.monotonic()
                worker.close()
                worker.close()
                self.assertLess(time.monotonic() - since, 5, url)

    def test_a_forked_child_reads_its_figures(self) -> None:
        worker = Worker("http://127.0.0.1:1", "w", interval=10)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            with worker._changed:  # as the sender may hold it at the fork
                child = os.fork()
                if child == 0:
                    # Another thread asks: the forked one holds the lock itself, and would be let in again.
                    asking = threading.Thread(target=worker.stats, daemon=True)
                    asking.start()
                    asking.join(5)
                    os._exit(1 if asking.is_alive() else 0)
        _, status = os.waitpid(child, 0)
        worker.close()
        self.assertEqual(status, 0, "stats() waits for a lock that nobody gives back")

    def test_nobody_says_too_little(self) -> None:
        for asked, taken in [(0, 0.1), (1, 1), (10, 10), (60, 10), (float("inf"), 10)]:
            with Worker("http://127.0.0.1:1", "w", interval=asked) as worker:
                self.assertEqual(worker._interval, taken)

    def test_redirects_are_not_followed(self) -> None:
        paths: List[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                paths.append(self.path)
                self.send_response(302)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            with Worker("http://127.0.0.1:%d" % server.server_port, "w", token="secret-token", interval=0.1) as worker:
                wait_for("an answer", lambda: worker.stats()["refused"])
            server.shutdown()
        self.assertEqual(set(paths), {"/api/watchfire/v1/workers/w"})

    def test_mistakes_are_told_at_once(self) -> None:
        for url, name, token in [
            ("127.0.0.1:9480", "w", None),
            ("ftp://x", "w", None),
            ("http://127.0.0.1", "a b", None),
            ("http://127.0.0.1", "", None),
            ("http://127.0.0.1", "w\n", None),
            ("http://127.0.0.1", "w", "a\nb"),
        ]:
            with self.assertRaises(ValueError, msg=(url, name, token)):
                Worker(url, name, token=token)


if __name__ == "__main__":
    unittest.main()
