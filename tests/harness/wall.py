"""The wall clock of one process, which a test may set wrong (wall_clock.c)."""

import os
import struct

from . import paths


class Wall:
    """Of a Process that has not been started yet. folder: where its file may be."""

    def __init__(self, process, folder):
        self.path = os.path.join(folder, f"{process.name}.wall")
        self.set(0)
        shim = paths.compiled("wall_clock.c", "wall_clock.so", "-shared", "-fPIC", "-ldl")
        process.env.update({"LD_PRELOAD": shim, "BARID_WALL_CLOCK": self.path,
                            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"})

    def set(self, seconds):
        """So many seconds ahead of the others, from now on."""
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(struct.pack("<q", seconds))
