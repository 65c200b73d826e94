"""A RabbitMQ node of our own on loopback, and a site whose broker it is; the store is an embedded one beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import amqp
import kombu.pools
import psutil
import pytest

from tests.system.installed import installed
from tests.system.site import Site, eventually
from worker.broker.rabbit_queues import DEAD
from worker.embedded import Embedded

_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # not the wrapper beside it, which changes user and folders
# A queue that a site may open for plain documents.
PLAIN = "uploads"
# Below the deadline of a test, of which it is the first part.
_INSTALL_S = 100
_START_S = 90


def program() -> Path:
    """rabbitmq-server, installed when that is allowed; else the test is skipped with the reason."""
    return installed("rabbitmq-server", _find, _left_out, within_s=_INSTALL_S)


def _find() -> Path | None:
    elsewhere = shutil.which("rabbitmq-server")
    found = [_PROGRAM, *sorted(Path("/opt").glob("rabbitmq*/sbin/rabbitmq-server"))]
    found += [Path(elsewhere)] if elsewhere and elsewhere != "/usr/sbin/rabbitmq-server" else []
    return next((path for path in found if path.exists()), None)


def _left_out(why: str) -> NoReturn:
    """PENSTOCK_TEST_RABBITMQ=required: then it is a failure."""
    say = pytest.fail if os.environ.get("PENSTOCK_TEST_RABBITMQ") == "required" else pytest.skip
    say(f"RabbitMQ is left out: {why}")


class Node:
    """A broker with everything in one folder, on free ports."""

    def __init__(self, *, started: bool = True) -> None:
        self._program = program()
        self.folder = Path(tempfile.mkdtemp(prefix="psq"))
        self.port, self._dist, self._epmd = _free_ports(3)
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "disk_free_limit.absolute = 50MB\n"
            "heartbeat = 60\n"
            "log.console = false\n"
            "log.file.level = warning\n"
        )
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": f"penstock{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "none.config"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            # A channel looks at its consumer timeout this often; a minute by default.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-rabbit channel_tick_interval 1000 "
            f"-kernel inet_dist_use_interface {{127,0,0,1}} -kernel inet_dist_listen_min {self._dist} "
            f"-kernel inet_dist_listen_max {self._dist} +S 2:2 +sbwt none",
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        # Erlang's registry of names; a node would otherwise start one that outlives it.
        self._names = subprocess.Popen(
            ["epmd", "-port", str(self._epmd), "-address", "127.0.0.1"], env=self._env, stdin=subprocess.DEVNULL
        )
        self._server: subprocess.Popen[bytes] | None = None
        if started:
            try:
                self.start()
            except BaseException:
                self.close()
                raise

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def runs(self) -> bool:
        return self._server is not None and self._server.poll() is None

    def start(self) -> None:
        output = (self.folder / "output").open("ab")
        with output:
            self._server = subprocess.Popen(
                [self._program],
                env=self._env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        kombu.pools.reset()  # connections of producers in this process to an earlier start
        eventually(self._answers, f"RabbitMQ: {(self.folder / 'output').read_text()[-1000:]}", within_s=_START_S)

    def stop(self) -> None:
        """As an operator would. A node of this version that is killed forgets quorum queues of the last seconds."""
        assert self._server
        self._server.terminate()
        self._server.wait(_START_S)

    def kill(self) -> None:
        """The broker and what it started end at once."""
        if self._server:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()

    def close(self) -> None:
        self.kill()
        self._names.kill()
        self._names.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self, name: str = "guest", password: str = "guest") -> amqp.Connection:
        address = f"127.0.0.1:{self.port}"
        connection = amqp.Connection(host=address, userid=name, password=password, confirm_publish=True)
        connection.connect()
        return connection

    def evaluate(self, erlang: str) -> str:
        """Let the broker evaluate an Erlang expression; takes two seconds."""
        program = self._program.with_name("rabbitmqctl")
        done = subprocess.run(
            [program, "eval", erlang], env=self._env, cwd=self.folder, capture_output=True, timeout=60, check=True
        )
        return done.stdout.decode()

    def obey(self, commands: str) -> None:
        """Lines for a shell of the broker's host."""
        env = {**self._env, "PATH": f"{self._program.parent}:{self._env['PATH']}"}
        subprocess.run(["bash", "-ec", commands], env=env, cwd=self.folder, timeout=60, check=True)

    def _answers(self) -> bool:
        assert self.runs, (self.folder / "output").read_text()[-3000:]
        try:
            self.connect().close()
        except (OSError, amqp.exceptions.AMQPError):
            return False
        return True


class RabbitSite(Site):
    """The store lies outside of its folder, so that of all processes only its workers carry that name."""

    # Without a queue's name Celery declares none; its own declaration would not be that of a quorum queue.
    route = {"exchange": "penstock", "routing_key": "penstock"}

    def __init__(self, folder: Path, node: Node) -> None:
        self.node = node
        super().__init__(folder)
        self._store = Embedded(Path(tempfile.mkdtemp(prefix="pss")))
        self._store.start()
        self.settings()

    @property
    def broker_url(self) -> str:
        return self.node.url

    @property
    def store_socket(self) -> Path:
        return self._store.folder / "store.sock"

    def settings(self, **settings: Any) -> None:
        super().settings(broker={"url": self.node.url}, store={"url": self._store.url}, **settings)

    def put(self, body: bytes, queue: str = "penstock", **message: Any) -> None:
        """A message written by hand, with its properties; `headers` are those of the application."""
        headers = message.pop("headers", None)
        self.put_message(amqp.Message(body, application_headers=headers, **message), queue)

    def put_message(self, message: amqp.Message, queue: str = "penstock") -> None:
        with self.node.connect() as connection, connection.channel() as channel:
            channel.basic_publish(message, exchange="", routing_key=queue)

    def queued(self, queue: str = "penstock") -> tuple[int, int]:
        """How many messages are ready in a queue, and how many consumers it has."""
        with self.node.connect() as connection, connection.channel() as channel:
            found = channel.queue_declare(queue, passive=True)
        time.sleep(0.1)  # a broker is not to be kept busy by whoever waits for it
        return found.message_count, found.consumer_count

    def _performs(self, process: subprocess.Popen[bytes], name: str | None) -> bool:
        # A message to a queue that is not there yet would be lost.
        try:
            self.queued()
        except amqp.exceptions.NotFound:
            assert process.poll() is None, f"the worker ended with {process.returncode}:\n{self.log()}"
            time.sleep(0.1)
            return False
        return super()._performs(process, name)

    @contextlib.contextmanager
    def store_stands_still(self) -> Iterator[None]:
        """It takes connections and answers nothing."""
        (store,) = (
            process
            for process in psutil.process_iter(["cmdline"])
            if f"unixsocket:{self.store_socket}" in " ".join(process.info["cmdline"] or ())
        )
        store.suspend()
        try:
            yield
        finally:
            store.resume()

    def close(self) -> None:
        self._store.stop()
        shutil.rmtree(self._store.folder, ignore_errors=True)
        if not self.node.runs:
            return
        with self.node.connect() as connection:
            for queue in ("penstock", PLAIN, DEAD):
                with connection.channel() as channel:
                    channel.queue_delete(queue)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
