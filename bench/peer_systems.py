"""Peer systems: other task queues in Python, each with as many commands at a time, in an environment of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

from bench.cache import PEERS, NotMade, peers_python
from bench.measuring import WrongCount
from bench.systems import WORKERS, Worker, end


class PeerWorker(Worker):
    """It does nothing but `subprocess.run` and store a result; its program and its producer are in bench/peers."""

    module: ClassVar[str]
    held: ClassVar[Mapping[str, str]]
    """The keys of its queue, by the keys in which tasks are held back."""

    def environment(self) -> dict[str, str]:
        return {
            "PYTHONPATH": str(PEERS),
            "PYTHONDONTWRITEBYTECODE": "1",
            "BENCH_STORE": f"unix://{self.store.socket}?db=0",
            "BENCH_RESULTS": f"unix://{self.store.socket}?db=1",
            "BENCH_CONCURRENCY": str(self.concurrency),
            "BENCH_COMMANDS": json.dumps({name: list(script.command) for name, script in self.scripts.items()}),
        }

    def program(self, name: str, *arguments: str) -> list[str]:
        python = peers_python(install=False)
        return [str(python), str(python.with_name(name)), *arguments]

    def _open_producer(self, stack: ExitStack) -> None:
        log = stack.enter_context((self.folder / "producer.log").open("wb"))
        self._producer = subprocess.Popen(
            [str(peers_python(install=False)), str(PEERS / "producer.py"), self.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=self.folder,
            env=self.environment(),
            start_new_session=True,
        )
        stack.callback(self._close_producer)
        self._answer()

    def _close_producer(self) -> None:
        end(self._producer)
        assert self._producer.stdin and self._producer.stdout
        self._producer.stdin.close()
        self._producer.stdout.close()

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        assert self._producer.stdin
        self._producer.stdin.write(json.dumps(question).encode() + b"\n")
        self._producer.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._producer.stdout
        line = self._producer.stdout.readline()
        if not line:
            text = (self.folder / "producer.log").read_text("utf-8", "replace")[-2000:]
            raise WrongCount(f"{self.name}: its producer ended\n{text}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def send(self, script: str, payload: Mapping[str, Any]) -> str:
        return self.send_timed(script, payload)[0]

    def send_timed(self, script: str, payload: Mapping[str, Any]) -> tuple[str, float]:
        """The producer's clock is ours: CLOCK_MONOTONIC is one for all processes."""
        answer = self._ask({"script": script, "payloads": [payload], "held": False})
        return answer["ids"][0], answer["begun"]

    def hold(self, script: str, load: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        ids = tuple(self._ask({"script": script, "payloads": load, "held": True})["ids"])
        queued = self.redis.llen(list(self.held)[-1])
        if queued != len(load):
            raise WrongCount(f"{self.name}: {queued} messages are queued of {len(load)}")
        return ids

    def release(self) -> None:
        with self.redis.pipeline() as pipe:
            for held, queue in self.held.items():
                pipe.rename(held, queue)
            pipe.execute()

    def finished(self) -> int:
        return int(self.results.dbsize())  # a database with nothing but results

    def check(self, ids: Sequence[str]) -> None:
        self.compare(ids, set(self._ask({"completed": ids})["completed"]))

    def output(self, task_id: str) -> bytes:
        raise NotImplementedError("it keeps no output")


class Dramatiq(PeerWorker):
    """Two processes share the commands, which is what it is fastest with on two cores."""

    name = "dramatiq 2x4"
    module = "dramatiq_app"
    held = {"held:default.msgs": "dramatiq:default.msgs", "held:default": "dramatiq:default"}
    waits_in = ("evalsha",)  # it asks again and again

    def command(self) -> list[str]:
        processes = min(2, self.concurrency)
        threads = self.concurrency // processes
        return self.program("dramatiq", self.module, "-p", str(processes), "-t", str(threads))


class Huey(PeerWorker):
    name = "huey threads"
    module = "huey_app"
    held = {"huey.redis.held": "huey.redis.bench"}

    def command(self) -> list[str]:
        return self.program("huey_consumer", f"{self.module}.huey", "-k", "thread", "-w", str(self.concurrency))

    def finished(self) -> int:
        return int(self.redis.hlen("huey.results.bench"))


class Taskiq(PeerWorker):
    """Two processes, its default."""

    name = "taskiq 2x4"
    module = "taskiq_app"
    held = {"held": "bench"}

    def command(self) -> list[str]:
        processes = min(2, self.concurrency)
        each = str(self.concurrency // processes)
        limits = ["--workers", str(processes), "--max-async-tasks", each, "--max-threadpool-threads", each]
        return self.program("taskiq", "worker", f"{self.module}:broker", *limits)


PEER_WORKERS: dict[str, type[Worker]] = {kind.name: kind for kind in (Dramatiq, Huey, Taskiq)}
ALL_WORKERS: dict[str, type[Worker]] = {**WORKERS, **PEER_WORKERS}


def peers_there(*, install: bool) -> tuple[str, ...]:
    """The names of the peers that can be measured; says why when it is none."""
    try:
        peers_python(install=install)
    except NotMade as error:
        print(f"bench: no peers: {error}", file=sys.stderr, flush=True)
        return ()
    return tuple(PEER_WORKERS)
