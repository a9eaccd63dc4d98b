"""Ctrl-C as a terminal sends it, to the whole group: it is for the main process, and workers do not hear it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_training import TINY

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


#: Training without sbi.
TRAINING = """
import sys
from haloassay.engine import training
from haloassay.face import cli
training.library = lambda: None
sys.argv = ["haloassay", "train", sys.argv[2], "--out", sys.argv[1], "-j", "2"]
cli.main()
"""


def started(environment, out, script=SCRIPT, *arguments):
    """Start a script as the first process of a session, as a shell in a terminal is."""
    return subprocess.Popen(
        [sys.executable, "-c", script, str(out), *map(str, arguments)],
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


def importing(process):
    """Whether a worker is at its imports, and so in the group of the main process still."""
    with contextlib.suppress(OSError):
        return any(
            "numpy" in Path(f"/proc/{pid}/maps").read_text()
            and os.getpgid(pid) == os.getpgid(process.pid)
            for pid in workers(process.pid)
        )
    return False


def test_workers_that_import_what_they_need_leave_an_interrupt_to_the_main_process(
    tmp_path, environment
):
    process = started(environment, tmp_path / "out")
    awaited(lambda: importing(process), process)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120.0)
    assert (process.returncode, stdout, stderr) == (130, "interrupted\n", "")


def working(process):
    """Whether both workers work: they have left the group of the main process, where there is one."""
    with contextlib.suppress(OSError):
        found = workers(process.pid)
        return len(found) == 2 and all(os.getpgid(pid) == pid for pid in found)
    return False


@pytest.mark.parametrize("when", [importing, working])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_interrupted_ends_with_one_line(tmp_path, environment, when, number):
    file, out = tmp_path / "tiny.toml", tmp_path / "net"
    file.write_text(TINY.replace("simulations = 400", "simulations = 30_000"))  # minutes
    process = started(environment, out, TRAINING, file)
    awaited(lambda: when(process), process)
    left = workers(process.pid)
    os.killpg(process.pid, number)
    process.send_signal(number)  # timeout(1) sends it to the process, and then to its group
    stdout, stderr = process.communicate(timeout=30.0)
    assert stdout == ""
    assert stderr == f"haloassay: interrupted; nothing is in {out}\n"
    assert process.returncode == 128 + number
    assert not out.exists()
    assert not [pid for pid in left if Path(f"/proc/{pid}").exists()]
