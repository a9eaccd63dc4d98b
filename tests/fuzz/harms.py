"""Harm that an estimator can do, each in a function of the catalogue that it is handed, with how its run must end."""

import builtins
import contextlib
import ctypes
import gc
import io
import json
import locale
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np

from haloassay import Catalogue, Estimate, Estimates
from haloassay.engine import task


def row_of(value=100.0, **fields):
    return Estimate("sigma_r", value, r=20.0, **fields)


class _Words(str):
    """Text that cannot be found in another process."""

    def __reduce__(self):
        raise TypeError("no")


class _UnspeakableError(Exception):
    def __str__(self):
        raise SystemExit(4)


class _Own(BaseException):
    pass


class _Number(float):
    def __float__(self):
        sys.exit(5)


#: Kinds that cost their own result only: what to do, and the status that it should have.
HARMS = {}
#: Kinds that take their process with them.
DEADLY = {}


def harm(status="ok", into=HARMS):
    def note(function):
        into[function.__name__] = (function, status)
        return function

    return note


@harm()
def chdir(catalogue):
    os.chdir("/")


@harm()
def delete_cwd(catalogue):
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


@harm()
def delete_files_in_cwd(catalogue):
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("own").touch()
        for path in Path.cwd().iterdir():
            path.unlink()


@harm()
def patch_mean(catalogue):
    np.mean = lambda *_, **__: 7.0


@harm()
def patch_norm(catalogue):
    np.linalg.norm = lambda *_, **__: 7.0


@harm()
def patch_generator(catalogue):
    np.random.default_rng = lambda *_: None


@harm()
def patch_random(catalogue):
    random.random = lambda: 0.5
    np.random.rand = lambda *_: 0.5


@harm()
def patch_builtin(catalogue):
    builtins.sum = lambda *_: 7


@harm()
def patch_math(catalogue):
    math.sqrt = lambda x: x


@harm()
def patch_json(catalogue):
    json.dumps = lambda *_, **__: "{}"


@harm()
def patch_cwd(catalogue):
    os.getcwd = lambda: "/nowhere"
    os.chdir("/")


@harm()
def patch_catalogue(catalogue):
    Catalogue.r = property(lambda self: np.ones(len(self)))
    Catalogue.spherical_velocity = property(lambda self: np.ones((len(self), 3)))


@harm()
def patch_estimate(catalogue):
    Estimate.from_draws = classmethod(lambda *_, **__: None)


@harm("failed")
def patch_haloassay(catalogue):
    task.accepted = lambda *_: 1 / 0


@harm()
def patch_clock(catalogue):
    time.perf_counter = lambda: -1e9


@harm()
def numpy_errors_raise(catalogue):
    np.seterr(all="raise")


@harm()
def numpy_errors_ignored(catalogue):
    np.seterr(all="ignore")


@harm()
def numpy_error_call(catalogue):
    np.seterrcall(print)
    np.seterr(all="call")


@harm()
def warnings_are_errors(catalogue):
    warnings.simplefilter("error")


@harm()
def warnings_are_ignored(catalogue):
    warnings.simplefilter("ignore")


@harm()
def warnings_shown_otherwise(catalogue):
    warnings.showwarning = lambda *_, **__: None


@harm()
def environment_set(catalogue):
    os.environ["HALOASSAY_HOSTILE"] = "1"


@harm()
def environment_cleared(catalogue):
    os.environ.clear()


@harm()
def environment_path(catalogue):
    os.environ["PATH"] = ""


@harm()
def seeds(catalogue):
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)


@harm()
def draws(catalogue):
    np.random.rand(1000)  # noqa: NPY002
    random.random()


@harm()
def tongue(catalogue):
    locale.setlocale(locale.LC_ALL, "C.UTF-8" if locale.setlocale(locale.LC_ALL) == "C" else "C")


@harm()
def recursion_limit(catalogue):
    sys.setrecursionlimit(5000)


@harm()
def ignored_termination(catalogue):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@harm()
def alarm(catalogue):
    signal.setitimer(signal.ITIMER_REAL, 0.3)


@harm()
def path_cleared(catalogue):
    sys.path.clear()


@harm()
def modules_deleted(catalogue):
    for name in ("json", "numpy.linalg", "haloassay.engine.task"):
        del sys.modules[name]


@harm()
def modules_replaced(catalogue):
    sys.modules["json"] = sys.modules["math"]


@harm()
def prints_much(catalogue):
    print("x" * 3_000_000)


@harm()
def prints_beneath(catalogue):
    os.write(1, b"beneath 1\n")
    os.write(2, b"beneath 2\n")


@harm()
def prints_in_c(catalogue):
    ctypes.CDLL(None).puts(b"in C")


@harm()
def closes_output(catalogue):
    sys.stdout.close()


@harm()
def closes_descriptors(catalogue):
    os.close(1)
    os.close(2)


@harm()
def replaces_output(catalogue):
    sys.stdout = sys.stderr = io.StringIO()


@harm()
def traces(catalogue):
    sys.settrace(lambda *_: None)
    sys.setprofile(lambda *_: None)


@harm()
def no_collection(catalogue):
    gc.disable()


@harm()
def mask(catalogue):
    os.umask(0o777)


@harm()
def leaves_a_thread(catalogue):
    threading.Thread(target=time.sleep, args=(2.0,), daemon=True).start()


@harm()
def leaves_a_child(catalogue):
    subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)


@harm()
def leaves_a_daemon(catalogue):
    subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, start_new_session=True)


@harm()
def forks_and_both_come_back(catalogue):
    os.fork()


@harm("failed")
def forks_and_both_fail(catalogue):
    os.fork()
    raise ValueError("twice")


@harm()
def writes_into_a_column(catalogue):
    for values in catalogue.columns.values():
        values.flags.writeable = True
        values[:] = 1.0


@harm()
def writes_beneath(catalogue):
    catalogue.r.base[:] = 1.0


@harm("failed")
def replaces_columns(catalogue):
    object.__setattr__(catalogue, "columns", {})


@harm()
def plants_a_cached_value(catalogue):
    catalogue.__dict__["r"] = np.ones(len(catalogue))
    catalogue.__dict__["spherical_velocity"] = np.ones((len(catalogue), 3))


@harm("failed")
def writes_read_only(catalogue):
    catalogue.velocity[:] = 0.0


@harm("failed")
def nothing(catalogue):
    return 7


@harm("failed")
def empty(catalogue):
    return Estimates([])


@harm("failed")
def strange_rows(catalogue):
    return Estimates([object()])


@harm("failed")
def rows_that_raise(catalogue):
    return Estimates(1 / 0 for _ in range(3))


@harm("failed")
def rows_without_value(catalogue):
    row = row_of()
    object.__setattr__(row, "value", math.nan)
    return Estimates([row])


@harm()
def words_of_its_own(catalogue):
    return Estimates([Estimate.undetermined("sigma_r", _Words("none"))])


@harm("failed")
def number_that_exits(catalogue):
    row = row_of()
    object.__setattr__(row, "value", _Number(1.0))
    return Estimates([row])


@harm("failed")
def raises(catalogue):
    raise ValueError("\ud800 \x1b[31m" + "long " * 100_000)


@harm("failed")
def raises_the_unspeakable(catalogue):
    raise _UnspeakableError


@harm("failed")
def raises_its_own(catalogue):
    raise _Own


@harm("failed")
def interrupts(catalogue):
    raise KeyboardInterrupt


@harm("failed")
def closes_a_generator(catalogue):
    raise GeneratorExit


@harm("failed")
def stops_an_iteration(catalogue):
    raise StopIteration


@harm("failed")
def exits(catalogue):
    sys.exit(0)


@harm("failed")
def recurses(catalogue):
    def again():
        return again()

    again()


@harm("lost")
def eats_memory(catalogue):
    np.ones(1 << 50)


@harm("failed")
def unpicklable(catalogue):
    error = ValueError("odd")
    error.lock = threading.Lock()
    raise error


@harm("lost", DEADLY)
def quits(catalogue):
    os._exit(0)


@harm("lost", DEADLY)
def quits_with_a_code(catalogue):
    os._exit(3)


@harm("lost", DEADLY)
def kills_itself(catalogue):
    os.kill(os.getpid(), signal.SIGKILL)


@harm("lost", DEADLY)
def kills_its_group(catalogue):
    os.killpg(os.getpgrp(), signal.SIGKILL)


@harm("lost", DEADLY)
def reads_nowhere(catalogue):
    ctypes.string_at(0)


@harm("lost", DEADLY)
def aborts(catalogue):
    os.abort()


@harm("lost", DEADLY)
def closes_all(catalogue):
    os.closerange(3, 200)


@harm("timeout", DEADLY)
def hangs(catalogue):
    time.sleep(600.0)


@harm("timeout", DEADLY)
def hangs_on(catalogue):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(600.0)


@harm("timeout", DEADLY)
def stops_itself(catalogue):
    os.kill(os.getpid(), signal.SIGSTOP)


@harm("timeout", DEADLY)
def hangs_with_a_child(catalogue):
    subprocess.run(["sleep", "600"], check=False)
