"""Clusters of Dask whose scheduler and workers are processes of their own, to be killed, cut off and starved."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

HOST = "127.0.0.1"


def free_port():
    """Port that nobody listens at."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return found.getsockname()[1]


def children(pid):
    """Processes that a process has started and that are alive."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


class Cluster:
    """A scheduler and its workers; all end with the block.

    Parameters
    ----------
    folder
        For what they write.
    environment
        Theirs.
    """

    def __init__(self, folder, environment):
        self.folder, self.environment = Path(folder), environment
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.address = f"tcp://{HOST}:{self.port}"
        self.processes = []
        self.scheduler = None

    def __enter__(self):
        self.start_scheduler()
        return self

    def __exit__(self, *_):
        for process in self.processes:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def start_scheduler(self):
        """Start the scheduler, at the same address as before."""
        words = ("scheduler", "--host", HOST, "--port", str(self.port), "--no-dashboard")
        self.scheduler = self._start(words, {})
        wait_for(self.is_listening)

    def is_listening(self):
        """Whether somebody answers at the scheduler's port."""
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1.0):
            return True
        return False

    def start_worker(self, *options, address=None, nanny=True, threads=1, **variables):
        """Start a worker; ``variables`` are of its environment."""
        more = () if nanny else ("--no-nanny",)
        words = ("worker", address or self.address, "--nthreads", str(threads), "--no-dashboard")
        local = ("--local-directory", str(self.folder / f"worker-{len(self.processes)}"))
        return self._start((*words, *more, *local, "--death-timeout", "20", *options), variables)

    def _start(self, words, variables):
        log = open(self.folder / f"{words[0]}-{len(self.processes)}.txt", "wb")  # noqa: SIM115
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *words],
            env={**self.environment, **variables},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self.processes.append(process)
        return process


def wait_for(what, seconds=60.0):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


class Proxy:
    """A line to a port that can be cut: by dropping what is on it, or by holding it back.

    Parameters
    ----------
    port
        Where it leads.
    """

    def __init__(self, port):
        self.target = port
        self.open, self.flowing = True, threading.Event()
        self.flowing.set()
        self.sockets = []
        self.server = socket.create_server((HOST, 0))
        self.port = self.server.getsockname()[1]
        self.address = f"tcp://{HOST}:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            near, _ = self.server.accept()
            if not self.open:
                near.close()
                continue
            try:
                far = socket.create_connection((HOST, self.target))
            except OSError:
                near.close()
                continue
            self.sockets += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.flowing.wait()
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self, seconds, hold=False):
        """Let nothing through for some seconds: connections are closed and refused, or hang."""
        if hold:
            self.flowing.clear()
        else:
            self.open = False
            for each in self.sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self.sockets = []
        time.sleep(seconds)
        self.open = True
        self.flowing.set()
