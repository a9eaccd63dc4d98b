"""Ctrl-C as a terminal sends it, to the whole group: it is for the main process, and workers do not hear it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not Path("/proc/self/maps").exists(), reason="reads /proc to see how far a worker is"
    ),
]

SCRIPT = """
import sys
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from small_scenario import SCENARIO
slow = {"kind": "plugins:Good", "label": "good", "seconds": 0.05}
try:
    run({**SCENARIO, "estimators": [slow]}, sys.argv[1], 500, 1, progress=Silent())
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""


def started(environment, out):
    """Start a run as the first process of a session, as a shell in a terminal is."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(out)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def workers(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            for child in (task / "children").read_text().split():
                if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
                    found.append(int(child))
    return found


def awaited(found, process):
    deadline = time.monotonic() + 120.0
    while not (got := found()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return got


def test_workers_that_import_what_they_need_leave_an_interrupt_to_the_main_process(
    tmp_path, environment
):
    process = started(environment, tmp_path / "out")

    def importing():
        """Tell whether a worker is at its imports, and so in the group of the main process still."""
        with contextlib.suppress(OSError):
            return any(
                "numpy" in Path(f"/proc/{pid}/maps").read_text()
                and os.getpgid(pid) == os.getpgid(process.pid)
                for pid in workers(process.pid)
            )
        return False

    awaited(importing, process)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120.0)
    assert (process.returncode, stdout, stderr) == (130, "interrupted\n", "")
