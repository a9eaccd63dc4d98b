"""Rooms of the house, floors, arrows and circles: ``python benchmarks/rooms.py [--inside ROOM]``.

A room is a package right below ``haloassay``; with ``--inside mocks``, one right below that, its own modules being
rooms of their own. An arrow goes from a room to one that it imports from, at the head of a module or inside a
function. Read off the installed package by grimp, which import-linter builds on.
"""

from __future__ import annotations

import argparse
import graphlib

import grimp


def arrows(top: str) -> tuple[set[str], set[tuple[str, str]]]:
    """Rooms below the package ``top``, and who imports from whom."""
    graph = grimp.build_graph("haloassay", exclude_type_checking_imports=True, cache_dir=None)
    depth = top.count(".") + 2

    def room(module: str) -> str:
        return ".".join(module.split(".")[:depth])

    inside = [m for m in graph.modules if m.startswith(f"{top}.")]
    found = {
        (room(importer), room(imported))
        for importer in inside
        for imported in graph.find_modules_directly_imported_by(importer)
        if imported.startswith(f"{top}.")
    }
    return {room(m) for m in inside}, {(a, b) for a, b in found if a != b}


def main() -> None:
    """Print the house from the roof down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inside", default="", help="a room, such as mocks or mocks.gravity")
    inside = parser.parse_args().inside
    top = f"haloassay.{inside}" if inside else "haloassay"
    rooms, found = arrows(top)
    below = {a: {b for x, b in found if x == a} for a in rooms}
    try:
        order = list(graphlib.TopologicalSorter(below).static_order())
    except graphlib.CycleError as error:
        print("circle:", " -> ".join(error.args[1]))
        order = []
    floor: dict[str, int] = {}
    for name in order:
        floor[name] = 1 + max((floor[b] for b in below[name]), default=0)
    print(f"{len(rooms)} rooms, {max(floor.values(), default=0)} floors, {len(found)} arrows")
    for k in sorted(set(floor.values()), reverse=True):
        names = sorted(n.removeprefix(f"{top}.") for n, f in floor.items() if f == k)
        print(f"{k:3d}  {', '.join(names)}")


if __name__ == "__main__":
    main()
