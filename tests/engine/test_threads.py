"""A worker computes in one thread, whatever the environment of the main process allows: so sums have one order."""

import pytest

from haloassay.engine.progress import Silent
from haloassay.engine.runner import run


@pytest.mark.long
@pytest.mark.parametrize("way", ["pool", "dask"])
def test_no_library_of_a_worker_takes_a_second_thread(tmp_path, values, monkeypatch, way):
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):  # of Arrow too it is OMP's
        monkeypatch.setenv(f"{library}_NUM_THREADS", "2")
    values |= {"realizations": 3, "matrix": {}, "estimators": [{"kind": "plugins:Threads"}]}
    where = {"workers": 1}
    if way == "dask":
        pytest.importorskip("distributed", reason="the extra dask is not installed")
        where = {"workers": 1, "scheduler": "local"}
    results = run(values, tmp_path / "out", progress=Silent(), **where)
    assert results.counts() == {"ok": 3}
    assert set(results.frame("estimates")["value"]) == {1.0}
