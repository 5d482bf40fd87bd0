"""Tells a watchfire what this program does, without ever slowing or stopping it.

One file, no dependencies, Python 3.8 or newer: copy it beside your agent.

    from watchfire_worker import Worker

    with Worker("http://127.0.0.1:9480", "coder-1", project="alpha") as worker:
        with worker.run("r17"):
            worker.add_tokens(1200)

Calls only change a small state in memory. A thread of its own sends the newest state as a heartbeat: at once when the status or the
run changed, else once an interval. What happens between two heartbeats is told by the later one; a watchfire that does not
answer is asked again ever more rarely, and nothing queues up meanwhile. No call raises because of the watchfire.
"""

import atexit
import contextlib
import http.client
import json
import os
import re
import threading
import time
import urllib.parse
import uuid
from typing import Any, Dict, Iterator, Optional, Tuple

__all__ = ["Worker"]

_GATHER = 0.02  # seconds: changes that come this close together are one heartbeat
_LONGEST_WAIT = 30.0  # seconds between two attempts when nobody answers
_LAST_WORDS = 1.0  # seconds that the last heartbeat may take when the worker is closed
_LONGEST_INTERVAL = 10.0  # seconds: a watchfire calls a worker silent after 30
_MAX_ANSWER = 64 * 1024  # bytes of an answer that are read
_MOST = 2**53  # a count that every JSON reader takes as it is; a watchfire takes no larger one
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")


class Worker:
    """A worker that tells about itself.

    Raises ValueError for a URL or an id that can never work; whether anybody listens does not matter. interval, in seconds, is
    brought between 0.1 and 10: a watchfire calls a worker silent that it has not heard of for 30 s.
    """

    def __init__(
        self,
        url: str,
        worker_id: str,
        *,
        project: Optional[str] = None,
        token: Optional[str] = None,
        labels: Optional[Dict[str, str]] = None,
        token_limit: Optional[int] = None,
        ttl_seconds: Optional[float] = None,
        interval: float = 1.0,
        timeout: float = 2.0,
        pid: Optional[int] = None,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected a URL such as http://127.0.0.1:9480, found %r" % (url,))
        if parts.query or parts.fragment:
            raise ValueError("expected a URL without ? and #, found %r" % (url,))
        if not isinstance(worker_id, str) or not _ID.fullmatch(worker_id):
            raise ValueError("expected an id of 1 to 128 letters, digits and . _ : @ -, found %r" % (worker_id,))
        # Asked directly, whatever proxy the environment names.
        self._place = (parts.scheme == "https", parts.hostname, parts.port)
        self._path = "%s/api/watchfire/v1/workers/%s" % (parts.path.rstrip("/"), worker_id)
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": "watchfire-worker-python",
            "Connection": "close",
        }
        if token is not None:
            if not token.isprintable() or any(ord(letter) > 255 for letter in token):
                raise ValueError("the token has characters that no header may have")
            self._headers["Authorization"] = "Bearer " + token
        self._interval, self._timeout = min(max(0.1, interval), _LONGEST_INTERVAL), max(0.05, timeout)
        self._own_pid = pid is None
        self._state: Dict[str, Any] = {
            "status": "idle",
            "pid": pid if pid is not None else os.getpid(),
            "project": project,
            "run_id": None,
            "queue": None,
            "in_flight": None,
            "labels": {str(name): str(value) for name, value in labels.items()} if labels else None,
            "ttl_seconds": ttl_seconds,
        }
        self._tokens: Dict[str, Optional[int]] = {"current_run": None, "total_session": None, "limit": token_limit}
        self._stats: Dict[str, Any] = {"sent": 0, "failed": 0, "refused": 0, "superseded": 0, "last_error": None}
        self._changes = 0
        self._reset()
        atexit.register(self.close)

    def _reset(self) -> None:
        """The part of the state that a forked child must have anew."""
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._news = self._closing = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchfire-worker", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # no more threads: the agent goes on in silence
            self._stats["last_error"] = str(error)
            self._ended.set()

    # What the agent says.

    def start_run(self, run_id: Optional[str] = None) -> str:
        """Begins a run: its tokens begin anew, and it is running. Answers its id."""
        run_id = str(run_id) if run_id is not None else uuid.uuid4().hex

        def change() -> None:
            self._state.update(run_id=run_id, status="running")
            self._tokens["current_run"] = None

        self._change(change, True)
        return run_id

    @contextlib.contextmanager
    def run(self, run_id: Optional[str] = None) -> Iterator[str]:
        """A run for as long as the block lasts; idle afterwards, also when the block raises."""
        run_id = self.start_run(run_id)
        try:
            yield run_id
        finally:
            self.idle()

    def running(self) -> None:
        """It works."""
        self._change(lambda: self._state.update(status="running"), True)

    def paused(self) -> None:
        """It holds its run and waits."""
        self._change(lambda: self._state.update(status="paused"), True)

    def idle(self) -> None:
        """It has nothing to do; its run has ended."""
        self._change(lambda: self._state.update(status="idle"), True)

    def add_tokens(self, tokens: Optional[int]) -> None:
        """It used so many tokens more. What is no count (None, as some servers answer) adds nothing."""
        more = _count(tokens) or 0

        def change() -> None:
            for name in ("current_run", "total_session"):
                self._tokens[name] = min((self._tokens[name] or 0) + more, _MOST)

        self._change(change, False)

    def set_queue(self, tasks: Optional[int]) -> None:
        """So many tasks wait for it; None, or what is no count, when that is not known."""
        known = _count(tasks)
        self._change(lambda: self._state.update(queue=known), False)

    def set_in_flight(self, requests: Optional[int]) -> None:
        """It waits for so many requests; None, or what is no count, when that is not known."""
        known = _count(requests)
        self._change(lambda: self._state.update(in_flight=known), False)

    def stats(self) -> Dict[str, Any]:
        """Heartbeats that were sent, failed or refused, changes that were superseded, and the last error."""
        if os.getpid() != self._process:
            # A forked child has no thread that changes them, and nobody who would give back the lock.
            return dict(self._stats)
        with self._changed:
            return dict(self._stats)

    def close(self) -> None:
        """Says that it is idle, waiting for that at most a second, and ends the thread. Closing twice is no mistake."""
        if os.getpid() != self._process:
            return
        with self._changed:
            if self._closing:
                return
            self._state["status"] = "idle"
            self._closing = self._news = True
            self._changed.notify_all()
        self._ended.wait(_LAST_WORDS)
        atexit.unregister(self.close)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # The thread.

    def _change(self, change: Any, at_once: bool) -> None:
        if os.getpid() != self._process:
            # A forked child has no thread; it is a process of its own.
            if self._own_pid:
                self._state["pid"] = os.getpid()
            self._reset()
        with self._changed:
            change()
            self._changes += 1
            if at_once:
                self._news = True
                self._changed.notify_all()

    def _run(self) -> None:
        failures = 0
        try:
            while True:
                with self._changed:
                    body = dict(self._state, tokens=dict(self._tokens))
                    self._stats["superseded"] += max(0, self._changes - 1)
                    self._changes, self._news, last = 0, False, self._closing
                failures = 0 if self._send(body) else failures + 1
                if last:
                    return
                self._wait(failures)
        finally:
            self._ended.set()

    def _wait(self, failures: int) -> None:
        """Until the next heartbeat is due: an interval, or sooner when there is news; after failures ever longer."""
        wait = self._interval
        if failures:
            wait = min(self._interval * 2 ** min(failures, 16), max(_LONGEST_WAIT, self._interval))
        due = time.monotonic() + wait
        with self._changed:
            while not self._closing and not (self._news and not failures):
                rest = due - time.monotonic()
                if rest <= 0:
                    return
                self._changed.wait(rest)
            closing = self._closing
        if not closing:
            time.sleep(_GATHER)

    def _exchange(self, data: bytes) -> Tuple[int, bytes]:
        """The status, and of a refusal what there is of the answer: all of it within the timeout, however slowly it comes."""
        end = time.monotonic() + self._timeout
        secure, host, port = self._place
        make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = make(host, port, timeout=self._timeout)
        answer, status = b"", None  # type: bytes, Optional[int]
        try:
            connection.request("POST", self._path, data, self._headers)
            while len(answer) < _MAX_ANSWER:
                rest = end - time.monotonic()
                if rest <= 0:
                    break
                connection.sock.settimeout(rest)
                try:
                    more = connection.sock.recv(8192)
                except OSError:
                    if status is None:
                        raise
                    break
                answer += more
                status = _status(answer)
                if not more or (status is not None and (status < 300 or _is_whole(answer))):
                    break
        finally:
            connection.close()
        if status is None:
            raise TimeoutError("no complete answer within %g s" % self._timeout)
        return status, answer

    def _send(self, body: Dict[str, Any]) -> bool:
        outcome, error = "sent", None  # type: str, Optional[str]
        try:
            data = json.dumps(body).encode()
            status, answer = self._exchange(data)
            # A redirect is a refusal like others: the token stays here.
            if not 200 <= status < 300:
                outcome, error = "refused", "%d: %s" % (status, _reason(answer))
        except Exception as failure:  # whatever it is, it is not the agent's trouble
            outcome, error = "failed", "%s: %s" % (type(failure).__name__, failure)
        with self._changed:
            self._stats[outcome] += 1
            self._stats["last_error"] = error
        return outcome == "sent"


def _count(value: Any) -> Optional[int]:
    """A whole number that is not negative; None for everything else, which is not the watchfire's to judge."""
    try:
        return min(max(0, int(value)), _MOST)
    except (TypeError, ValueError, OverflowError):
        return None


def _status(answer: bytes) -> Optional[int]:
    """The status, once its line is complete."""
    line, end, _ = answer.partition(b"\r\n")
    found = re.fullmatch(rb"HTTP/1\.[01] (\d{3})( .*)?", line, re.DOTALL)
    if found:
        return int(found.group(1)) if end else None
    if end or len(line) > _MAX_ANSWER // 2:
        raise http.client.BadStatusLine(repr(line[:80]))
    return None


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d{1,9}) *(\r|$)", head, re.IGNORECASE)
    return bool(end) and length is not None and len(body) >= int(length.group(1))


def _reason(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    try:
        return str(json.loads(body)["error"])
    except Exception:
        return head.partition(b"\r\n")[0][13:].decode("latin-1")
