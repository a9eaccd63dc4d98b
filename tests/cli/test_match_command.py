"""`haloassay match` as a user calls it: unusable input is one line, exit 2, nothing written."""

import pytest
from refusing import refused

TABLE = "quantity,r,value,error\nsigma_r,10,110,5\n"
FREE = ("--free", "mock.potential.m200")

BAD = {
    "no such table": ("none.csv", TABLE, FREE, ["none.csv", "cannot be read"]),
    "unknown quantity": ("m.csv", TABLE.replace("sigma_r", "sigma_q"), FREE, ["sigma_q", "line 2"]),
    "radius outside": (
        "m.csv",
        TABLE.replace("10,", "300,"),
        FREE,
        ["outside of the bins", "5-20"],
    ),
    "error of zero": ("m.csv", TABLE.replace(",5\n", ",0\n"), FREE, ["error is not above 0"]),
    "yielded by none": ("m.csv", TABLE.replace("sigma_r", "c200"), FREE, ["yields no c200"]),
    "nothing free": ("m.csv", TABLE, (), ["--free"]),
    "path to nowhere": ("m.csv", TABLE, ("--free", "mock.potential.mass"), ["mock.potential.mass"]),
    "impossible prior": (
        "m.csv",
        TABLE,
        ("--free", "mock.beta.beta={ kind = 'uniform', lo = 0.5, hi = 2.0 }"),
        ["values that cannot be", "mock.beta.beta"],
    ),
    "no power of two": ("m.csv", TABLE, (*FREE, "--points", "100"), ["power of two"]),
    "no rounds": ("m.csv", TABLE, (*FREE, "--rounds", "0"), ["rounds: 1 to 20"]),
}


@pytest.mark.parametrize("case", BAD)
def test_unusable_input_is_refused_before_anything_is_written(case, call, small, tmp_path):
    name, table, options, words = BAD[case]
    (tmp_path / "m.csv").write_text(table)
    arguments = ("match", small, "--to", tmp_path / name, "--out", tmp_path / "out", "-j", "0")
    refused(call, tmp_path, *arguments, *options, words=words)
