"""What it takes to refuse well."""

from __future__ import annotations


def refused(call, folder, *arguments, words=()):
    """Call the command and see that it refuses well; return its one line."""
    before = snapshot(folder)
    answer = call(*arguments)
    assert answer.code == 2, (answer.code, answer.err)
    line = answer.refusal
    assert "internal error" not in line
    assert snapshot(folder) == before
    for word in words:
        assert word in line, line
    return line


def snapshot(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
