"""One run through all joints, pinned: who broke the wiring is told which number moved.

``python tests/golden/renew.py`` pins it anew, in the commit that says why in the CHANGELOG.
"""

from __future__ import annotations

import copy

import golden_run
import pytest
from renew import TOLERANCE, pinned


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Pins of the run as it is now, with nothing of it from the user's cache."""
    folder = tmp_path_factory.mktemp("golden")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HALOASSAY_CACHE", str(folder / "cache"))
        return golden_run.pins(golden_run.run(folder / "out"))


def test_the_run_has_the_keys_that_were_pinned(found):
    assert found["keys"] == pinned("run")["keys"], (
        "a setting or version has changed: renew the pins"
    )


@pytest.mark.parametrize("table", golden_run.LABELS)
def test_the_run_has_the_tables_that_were_pinned(found, table):
    changed = list(golden_run.differences(pinned("run"), found, TOLERANCE, (table,)))
    shown = "\n".join(changed[:20])
    assert not changed, f"{len(changed)} differences from run.json:\n{shown}"


def test_the_run_holds_what_it_is_to_test():
    """Failures, values without truth, changes of the truth, and streams by label."""
    pins = pinned("run")
    frames = {
        name: [dict(zip(pins[name]["columns"], row, strict=True)) for row in pins[name]["rows"]]
        for name in golden_run.LABELS
    }
    assert {row["status"] for row in frames["runs"]} == {"ok", "failed"}
    assert {row["n_failed"] for row in frames["scores"]} == {0, 1, 2}
    assert any(row["value"] is not None and row["truth"] is None for row in frames["estimates"])
    labels = ("ellipsoid", "the same")
    one, other = ([r for r in frames["estimates"] if r["estimator"] == k] for k in labels)
    assert [row["value"] for row in one] != [row["value"] for row in other]
    assert [row["truth"] for row in one] == [row["truth"] for row in other]
    for factor in ("survey.distance_scale", "mock.potential.m200"):
        assert any(r["truth_log_change"] for r in frames["paired"] if r["cell"].startswith(factor))


def test_a_difference_names_table_row_and_column():
    old, new = pinned("run"), copy.deepcopy(pinned("run"))
    table = new["estimates"]
    row = next(r for r in table["rows"] if r[:4] == ["base", "sky-map", 1, "beta"])
    place = table["columns"].index("truth")
    row[place] *= 1.0 + 3.0 * TOLERANCE
    was = row[place] / (1.0 + 3.0 * TOLERANCE)
    del new["runs"]["rows"][0]
    new["scores"]["rows"][0][3] = "somewhere else"
    told = list(golden_run.differences(old, new, TOLERANCE))
    assert told[0] == "runs: base, dipole, 0: the row is gone"
    assert told[1].startswith(f"estimates: base, sky-map, 1, beta, 0: truth: {was:.6g}")
    assert [line.partition(": ")[0] for line in told] == ["runs", "estimates", "scores", "scores"]
    assert list(golden_run.differences(old, old, TOLERANCE)) == []
