"""What an LMC can be, by the key ``kind`` of the table ``mock.lmc``."""

from __future__ import annotations

from typing import Final

#: What ``kind`` of the table ``mock.lmc`` can be, with the class of its settings; the first where none is given.
RIGID: Final = "rigid"
LMCS: Final = {
    RIGID: "haloassay.mocks.lmc.trajectory:LMC",
    "expansions": "haloassay.mocks.lmc.deforming:DeformingPair",
}
