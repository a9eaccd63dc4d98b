"""Output files of the commands: none is what the command reads, or another output."""

from __future__ import annotations

import pytest
from made_up_stars import table_of, write_csv
from refusing import refused

from haloassay.base.errors import HaloassayWarning

MEASURE = ("--estimator", "velocity-ellipsoid", "--format", "csv")


def _names_of(file, folder):
    """Other names of a file: spelling, links of both kinds, a folder that is a link."""
    (folder / "soft.csv").symlink_to(file)
    (folder / "hard.csv").hardlink_to(file)
    (folder / "door").symlink_to(folder, target_is_directory=True)
    return [
        file,
        f"{folder}/../{folder.name}/{file.name}",
        folder / "soft.csv",
        folder / "hard.csv",
        folder / "door" / file.name,
    ]


def test_measure_does_not_write_onto_its_catalogue(call, tmp_path):
    file = write_csv(tmp_path / "stars.csv", table_of())
    before = file.read_bytes()
    for name in _names_of(file, tmp_path):
        refused(
            call,
            tmp_path,
            "measure",
            file,
            *MEASURE,
            "--out",
            name,
            words=["--out", "is the catalogue itself"],
        )
        refused(
            call,
            tmp_path,
            "measure",
            name,
            *MEASURE,
            "--out",
            file,
            words=["--out", "is the catalogue itself"],
        )
    assert file.read_bytes() == before
    assert call("measure", file, *MEASURE, "--out", tmp_path / "new.csv").code == 0


def test_measure_writes_to_a_device_as_it_is(call, stars):
    assert call("measure", stars, *MEASURE, "--out", "/dev/null").code == 0


def test_catalogue_and_truth_of_a_mock_are_two_files(small, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.json").symlink_to("a.csv")
    for truth in ("a.csv", "./a.csv", tmp_path / "a.csv", "link.json"):
        refused(
            call,
            tmp_path,
            "mock",
            small,
            "--out",
            "a.csv",
            "--truth",
            truth,
            words=["--truth", "is the file of --out"],
        )


@pytest.mark.parametrize("option", ["--out", "--truth"])
def test_a_mock_does_not_write_onto_its_scenario(call, tmp_path, option, small):
    scenario = tmp_path / "s.csv"
    scenario.write_text(small.read_text())
    rest = ["--out", tmp_path / "a.csv"] if option == "--truth" else []
    refused(
        call, tmp_path, "mock", scenario, option, scenario, *rest, words=["is the scenario itself"]
    )


def test_a_mock_does_not_write_onto_its_snapshot(call, tmp_path, small):
    (tmp_path / "snap.hdf5").write_bytes(b"particles")
    text = small.read_text().replace(
        'kind = "local-jeans-gaussian"', f'kind = "snapshot"\nfile = "{tmp_path}/snap.hdf5"'
    )
    (tmp_path / "s.toml").write_text(text)
    (tmp_path / "other.hdf5").symlink_to("snap.hdf5")
    refused(
        call,
        tmp_path,
        "mock",
        tmp_path / "s.toml",
        "--out",
        tmp_path / "other.hdf5",
        words=["other.hdf5: is the file", "snap.hdf5"],
    )


@pytest.mark.parametrize(
    "place", ["run.json", "./run.json", "runs/mine.parquet", "estimates/a.parquet"]
)
def test_a_table_is_not_written_among_the_results(finished, call, place):
    out, _ = finished
    refused(
        call,
        out,
        "table",
        out,
        "--format",
        "csv",
        "--out",
        out / place,
        words=["among the results"],
    )


def test_numbers_for_missing_values_are_named_on_the_command_line(call, tmp_path):
    table = table_of()
    table[3, 4] = table[7, 0] = -9999.0
    file = write_csv(tmp_path / "stars.csv", table)
    refused(
        call,
        tmp_path,
        "measure",
        file,
        *MEASURE,
        words=["x is -9999 in 1 row (8)", "'sentinel'", "--missing"],
    )
    refused(call, tmp_path, "measure", file, *MEASURE, "--missing", "-9999", words=["vy is NaN"])
    for options in (
        ["--missing", "-9999", "--missing", "7", "--drop", "nan"],
        ["--drop", "sentinel"],
    ):
        answer = call("measure", file, *MEASURE, *options)
        assert answer.code == 0
        assert ": 2 rows dropped: " in answer.err


def test_motions_that_are_zero_are_mentioned(call, tmp_path):
    table = table_of()
    table[:, 3:] = 0.0
    with pytest.warns(HaloassayWarning, match="vx, vy, vz: 0 km/s in all 60 rows"):
        answer = call("measure", write_csv(tmp_path / "stars.csv", table), *MEASURE)
    assert answer.code == 3
    assert "LinAlgError" not in answer.err + answer.text
