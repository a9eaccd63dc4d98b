"""Damaged catalogues in all formats: each is read, or refused in one line; anything else is a failure with its number.

    python tests/fuzz/catalogues.py --n 20000 --seed 1
    python tests/fuzz/catalogues.py --seed 1 --only 1234 --keep wrong   # that file again, kept in a folder

A case is made of the seed and its number alone: a catalogue with odd values and names, written in some format, damaged
or not, is read with some options, and what is read goes to an estimator.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import multiprocessing
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

#: Seconds that a case may take.
LIMIT = 60
BATCH = 250
#: Of one case: more is a failure, however it ends [s of the processor, kB].
SECONDS, KILOBYTES = 60.0, 1_500_000
MEMORY = "300MB"

HELIOCENTRIC = ("ra", "dec", "distance", "pmra", "pmdec", "vlos")
GALACTOCENTRIC = ("x", "y", "z", "vx", "vy", "vz")
UNITS = {
    **dict.fromkeys(("ra", "dec"), "deg"),
    **dict.fromkeys(("distance", "x", "y", "z"), "kpc"),
    **dict.fromkeys(("pmra", "pmdec"), "mas / yr"),
    **dict.fromkeys(("vlos", "vx", "vy", "vz"), "km / s"),
}
ODD_VALUES = (
    np.nan,
    np.inf,
    -np.inf,
    0.0,
    -0.0,
    1e308,
    -1e308,
    5e-324,
    -9999.0,
    1e20,
    2.0**63,
    1.0,
)
ODD_NAMES = (
    "",
    "#x",
    "x,y",
    "x y",
    "Ω",
    "true_x",
    "x.mask",
    "ra\n",
    '"',
    "x_err",
    "1",
    "nan",
    "a" * 300,
    "SUN",
    "\x1b[31m",
)
ODD_TEXT = (
    "null",
    "NaN",
    "--",
    "six",
    "1,5",
    "1e999",
    "#",
    '"',
    "\x00",
    "true",
    "9" * 400,
    "é",
    "=1+1",
    "0x1p3",
    "1_000",
)


def made_columns(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Columns of some stars, a few of their values odd."""
    n = int(rng.choice([0, 1, 2, 12, 30], p=[0.02, 0.04, 0.04, 0.2, 0.7]))
    if rng.random() < 0.5:
        columns = {
            "ra": rng.uniform(0, 360, n),
            "dec": rng.uniform(-80, 80, n),
            "distance": rng.uniform(5, 80, n),
            "pmra": rng.normal(0, 0.5, n),
            "pmdec": rng.normal(0, 0.5, n),
            "vlos": rng.normal(0, 100, n),
        }
    else:
        position, velocity = rng.normal(0, 30, (3, n)), rng.normal(0, 100, (3, n))
        columns = dict(zip(GALACTOCENTRIC, [*position, *velocity], strict=True))
    for name in list(columns)[2:]:
        if rng.random() < 0.15 and name[:2] != "pm":
            columns[f"{name}_err"] = rng.uniform(0.01, 0.1, n)
    if rng.random() < 0.4:
        columns["feh"] = rng.normal(-1.5, 0.3, n)
    for _ in range(int(rng.choice([0, 0, 0, 1, 3])) if n else 0):
        columns[str(rng.choice(list(columns)))][rng.integers(n)] = rng.choice(ODD_VALUES)
    if rng.random() < 0.05 and n:
        columns[str(rng.choice(list(columns)))][:] = rng.choice(ODD_VALUES)
    if rng.random() < 0.1:
        name = str(rng.choice(list(columns)))
        columns[str(rng.choice(ODD_NAMES))] = columns[name].copy()
        if rng.random() < 0.5:
            del columns[name]
    return columns


def _ours(path: Path, rng: np.random.Generator, columns: dict[str, np.ndarray]) -> None:
    from haloassay.io.formats import write_fields

    units = {name: UNITS[name] for name in columns if name in UNITS and rng.random() < 0.8}
    good = '{"x": -8.0, "z": 0.0, "vx": 10.0, "vy": 225.0, "vz": 7.0}'
    sun = good if rng.random() < 0.9 else str(rng.choice(["{", "[1]", "{}", '{"x": 1e999}']))
    write_fields(path, columns, units, {"SUN": sun} if rng.random() < 0.3 else {})


def _table(rng: np.random.Generator, columns: dict[str, np.ndarray]):
    """Table of astropy: of quantities or not, masked or not."""
    import astropy.units as u
    from astropy.table import Column, MaskedColumn, QTable, Table
    from astropy.utils.masked import Masked

    if rng.random() < 0.5:
        table = QTable()
        for name, values in columns.items():
            some = values * u.Unit(UNITS.get(name, ""))
            table[name] = (
                Masked(some, mask=rng.random(values.size) < 0.1) if rng.random() < 0.3 else some
            )
        return table
    table = Table()
    for name, values in columns.items():
        kind = rng.choice(["float", "masked", "int", "text"], p=[0.6, 0.2, 0.1, 0.1])
        if kind == "int":
            values = np.nan_to_num(values, posinf=9.0, neginf=9.0).clip(-1e9, 1e9).astype(int)
        elif kind == "text":
            values = np.array(
                [str(rng.choice(ODD_TEXT)) if rng.random() < 0.1 else str(v) for v in values],
                dtype=str,
            )
        made = MaskedColumn if kind in ("masked", "text") else Column
        options = {"mask": rng.random(len(values)) < 0.1} if made is MaskedColumn else {}
        table[name] = made(values, unit=UNITS.get(name), **options)
    return table


def _astropy(path: Path, rng: np.random.Generator, columns: dict[str, np.ndarray]) -> None:
    table = _table(rng, columns)
    stem = path.name.removesuffix(".gz").rpartition(".")[2]
    kinds = {
        "fits": "fits", "ecsv": "ascii.ecsv", "csv": "ascii.csv", "txt": "ascii.basic", "dat": "ascii.commented_header",
        "hdf5": "hdf5", "parquet": "parquet", "vot": "votable", "mrt": "ascii.mrt",
    }  # fmt: skip
    options = {"path": "t", "serialize_meta": True} if stem == "hdf5" else {}
    if stem == "ecsv" and rng.random() < 0.5:
        options = {"delimiter": ","}
    plain = path.with_name("plain." + stem)
    table.write(plain, format=kinds[stem], **options)
    content = plain.read_bytes()
    plain.unlink()
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)


def _several(path: Path, rng: np.random.Generator, columns: dict[str, np.ndarray]) -> None:
    """Several tables, in FITS, HDF5 or VOTable; links and storage elsewhere in HDF5."""
    import h5py
    from astropy.io import fits
    from astropy.io.votable.tree import Resource, TableElement, VOTableFile
    from astropy.table import Table

    tables = [Table(columns), Table({"id": np.arange(3), "teff": np.ones(3)}), Table(columns)]
    tables = tables[: int(rng.integers(1, 4))]
    if path.name.endswith(".fits"):
        fits.HDUList([fits.PrimaryHDU(), *map(fits.table_to_hdu, tables)]).writeto(path)
    elif path.name.endswith(".vot"):
        tree = VOTableFile()
        tree.resources.append(Resource())
        for table in tables:
            tree.resources[0].tables.append(TableElement.from_table(tree, table))
        tree.to_xml(str(path), tabledata_format=str(rng.choice(["tabledata", "binary", "binary2"])))
    else:
        with h5py.File(path, "w") as file:
            for i, table in enumerate(tables):
                if rng.random() < 0.5:
                    file[f"t{i}"] = table.as_array()
                else:
                    group = file if rng.random() < 0.3 and i == 0 else file.create_group(f"g{i}")
                    for name in table.colnames:
                        group[name or "none"] = table[name]
            link = rng.choice(["none", "external", "soft", "ring", "storage", "huge", "self"])
            if link == "external":
                file["l"] = h5py.ExternalLink("other.h5", "/x")
            elif link in ("soft", "ring"):
                file["l"] = h5py.SoftLink("/l" if link == "ring" else "/g0/x")
            elif link == "storage":
                file.create_dataset("x9", (30,), "f8", external=[("/etc/hostname", 0, 240)])
            elif link == "huge":
                file.create_dataset("g/x", (10**11,), "f8", chunks=(1000,), compression="gzip")
            elif link == "self":
                file["g/h"] = file["/"]


def _pandas(path: Path, rng: np.random.Generator, columns: dict[str, np.ndarray]) -> None:
    import pandas as pd

    frame = (
        pd.DataFrame(columns).convert_dtypes()
        if rng.random() < 0.7
        else pd.DataFrame(columns).astype(str)
    )
    if rng.random() < 0.3 and len(frame):
        frame = frame.mask(rng.random(frame.shape) < 0.05)
    if ".parquet" in path.name:
        frame.to_parquet(path)
    else:
        frame.to_csv(
            path, index=bool(rng.random() < 0.5), sep=str(rng.choice([",", ";", "\t", " "]))
        )


def _numpy(path: Path, rng: np.random.Generator, columns: dict[str, np.ndarray]) -> None:
    mark = str(rng.choice([",", " ", ", ", ";", "\t"]))
    header = mark.join(columns) if rng.random() < 0.7 else ""
    table = np.stack(list(columns.values()), axis=1)
    np.savetxt(
        path,
        table.T if rng.random() < 0.2 else table,
        delimiter=mark,
        header=header,
        encoding="utf-8",
    )


Maker = Callable[[Path, np.random.Generator, dict[str, np.ndarray]], None]
MAKERS: dict[Maker, tuple[str, ...]] = {
    _ours: (".fits", ".fits.gz", ".ecsv", ".ecsv.gz", ".csv", ".csv.gz", ".parquet", ".hdf5", ".h5.gz", ".vot", ".txt",
            ".dat.gz"),
    _astropy: (".fits", ".fits.gz", ".ecsv", ".csv", ".txt", ".dat", ".hdf5", ".parquet", ".vot", ".mrt", ".vot.gz"),
    _several: (".fits", ".vot", ".hdf5", ".hdf5"),
    _pandas: (".parquet", ".csv", ".txt"),
    _numpy: (".txt", ".csv", ".dat.gz"),
}  # fmt: skip
SUFFIXES = (".csv", ".txt", ".ecsv", ".fits", ".hdf5", ".parquet", ".vot", ".mrt", ".doc", "")


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Content with bits, bytes, numbers or blocks changed."""
    packed = data[:2] == b"\x1f\x8b" and rng.random() < 0.7  # else its checksum finds all
    content = bytearray(gzip.decompress(data) if packed else data)
    for _ in range(int(rng.choice([1, 1, 2, 5, 20]))):
        if not content:
            break
        # heads matter most
        at = int(
            rng.integers(min(len(content), 4000))
            if rng.random() < 0.6
            else rng.integers(len(content))
        )
        length = int(rng.choice([1, 2, 4, 8, 80, 2880]))
        match rng.choice(["flip", "set", "insert", "cut", "end", "double", "digit", "word"]):
            case "flip":
                content[at] ^= 1 << int(rng.integers(8))
            case "set":
                content[at : at + length] = rng.choice([b"\x00", b"\xff", b" ", b"9"]) * length
            case "insert":
                content[at:at] = rng.bytes(length)
            case "cut":
                del content[at : at + length]
            case "end":
                del content[at:]
            case "double":
                content[at:at] = content[at : at + length]
            case "digit":
                digits = [
                    i for i in range(at, min(at + 400, len(content))) if 48 <= content[i] <= 57
                ]
                for i in digits[: int(rng.integers(1, 9))]:
                    content[i] = int(rng.integers(48, 58))
            case "word":
                word = str(rng.choice(ODD_TEXT)).encode()
                content[at : at + len(word)] = word
    return gzip.compress(bytes(content)) if packed else bytes(content)


def made_file(folder: Path, rng: np.random.Generator) -> Path | None:
    """Write a catalogue, damaged in most cases; None where its own library does not write such a one."""
    columns = made_columns(rng)
    maker = list(MAKERS)[int(rng.choice(len(MAKERS), p=[0.4, 0.25, 0.15, 0.1, 0.1]))]
    path = folder / f"stars{rng.choice(MAKERS[maker])}"
    try:
        maker(path, rng, columns)
    except Exception:  # that library's own limits: names it cannot write
        return None
    if rng.random() < 0.55:
        path.write_bytes(damaged(path.read_bytes(), rng))
    if rng.random() < 0.1:
        path = path.rename(folder / f"other{rng.choice(SUFFIXES)}")
    elif rng.random() < 0.05:
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def options_of(rng: np.random.Generator) -> dict[str, object]:
    """Options of a reading, most often none but those that let odd rows go."""
    found: dict[str, object] = {"max_memory": MEMORY}
    if rng.random() < 0.7:
        found["drop"] = "all"
    choices: dict[str, list[object]] = {
        "table": [1, 2, "2", "t0", "g1", "no"],
        "columns": ["x,y,z,vx,vy,vz", "distance=x,feh=-", "position=g0/x", "x=t0/x", "-,y"],
        "units": [{"distance": "pc"}, {"x": "m/s"}, {"position": -1.0}, {"vlos": "bananas"}],
        "sun": ["bird2022", "x=-8,z=0,vx=1,vy=2,vz=3", "x=1", "=", "x=-8,z=nan,vx=1,vy=2,vz=3"],
    }
    for name, allowed in choices.items():
        if rng.random() < 0.05:
            found[name] = allowed[int(rng.integers(len(allowed)))]
    return found


def outcome(path: Path | None, seed: int, number: int) -> tuple[str, str]:
    """How the case of a file ends, and what was said: read, refused, not written, or failed."""
    from haloassay import measure
    from haloassay.base.errors import HaloassayError, HaloassayWarning, InputError
    from haloassay.io.tables import read_catalogue

    if path is None:
        return "not written", ""
    rng = np.random.default_rng([seed, number, 1])
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            catalogue = read_catalogue(path, **options_of(rng))
            ended, words = "read", ""
        except InputError as error:
            ended, words = "refused", str(error)
        except Exception:
            return f"failed: {path.suffixes}", traceback.format_exc()
        if ended == "read" and number % 4 == 0:
            method = (
                {"kind": "velocity-ellipsoid"}
                if number % 8
                else {"kind": "tracer-mass", "alpha": -3.5}
            )
            try:
                with warnings.catch_warnings(record=True) as doubts:
                    warnings.simplefilter("always")
                    measure(catalogue, method)
                # numpy's, in an estimator: no fault of a file
                ended = "read and measured" + (", with warnings" if doubts else "")
            except HaloassayError as error:
                ended, words = "read, refused by the estimator", str(error)
            except Exception:
                return f"failed in {method['kind']}: {path.suffixes}", traceback.format_exc()
    if "\n" in words:
        return "failed: more than one line", words
    if others := [w for w in said if not issubclass(w.category, HaloassayWarning)]:
        return "failed: warned", "\n".join(f"{w.filename}:{w.lineno}: {w.message}" for w in others)
    if time.process_time() - start > SECONDS:
        return "failed: slow", words
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before > KILOBYTES:
        return "failed: memory", words
    return ended, words


def case(folder: Path, seed: int, number: int) -> Path | None:
    """Write the file of a case into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made_file(folder, np.random.default_rng([seed, number]))


def _make(folder: Path, seed: int, numbers: range, at) -> None:
    for number in numbers:
        at.value = number
        case(folder / str(number), seed, number)


def _read(folder: Path, seed: int, numbers: range, at, found) -> None:
    for number in numbers:
        at.value = number
        signal.alarm(LIMIT)  # ends the process
        there = folder / str(number)
        files = sorted(there.glob("[so]t*")) if there.is_dir() else []
        found.put((number, *outcome(files[0] if files else None, seed, number)))
        signal.alarm(0)


def _until_done(target, folder: Path, seed: int, numbers: range, *more) -> list[int]:
    """Run ``target`` in processes of its own until all numbers are done; those at which one ended otherwise."""
    context = multiprocessing.get_context("fork")
    killed, start = [], numbers.start
    while start < numbers.stop:
        at = context.Value("q", start)
        process = context.Process(
            target=target, args=(folder, seed, range(start, numbers.stop), at, *more)
        )
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        killed.append(at.value)
        start = at.value + 1
    return killed


def fuzz(n: int, seed: int) -> tuple[collections.Counter[str], list[tuple[int, str, str]]]:
    """Count the outcomes of cases 0 to ``n``, and list the failures; a process that is killed is one.

    Files are made in other processes than they are read in: what libraries do to their own memory where
    they write odd tables must not be taken for what is read.
    """
    counts: collections.Counter[str] = collections.Counter()
    failures = []
    for start in range(0, n, BATCH):
        numbers = range(start, min(start + BATCH, n))
        found = multiprocessing.get_context("fork").Manager().Queue()
        with tempfile.TemporaryDirectory() as folder:
            for number in _until_done(_make, Path(folder), seed, numbers):
                shutil.rmtree(Path(folder) / str(number), ignore_errors=True)
            killed = _until_done(_read, Path(folder), seed, numbers, found)
        ends = [found.get() for _ in range(found.qsize())]
        ends += [
            (number, f"failed: its process was killed, or took longer than {LIMIT} s", "")
            for number in killed
        ]
        for number, ended, words in ends:
            counts[ended.partition(":")[0]] += 1
            if ended.startswith("failed"):
                failures.append((number, ended, words))
                print(f"--seed {seed} --only {number}: {ended}\n{words}", flush=True)
    return counts, failures


def main() -> int:
    """Run cases and print the counts; 1 if one failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="number of one case")
    parser.add_argument("--keep", type=Path, help="folder for the file of that case")
    chosen = parser.parse_args()
    if chosen.only is not None:
        with tempfile.TemporaryDirectory() as temporary:
            path = case(chosen.keep or Path(temporary), chosen.seed, chosen.only)
            print(*outcome(path, chosen.seed, chosen.only), sep="\n")
        return 0
    counts, failures = fuzz(chosen.n, chosen.seed)
    print(", ".join(f"{count} {ended}" for ended, count in counts.most_common()))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
