"""The disk under a RedisServer's append-only files, which a test may fill, break or slow down (sick_disk.c)."""

import os
import struct

from . import paths

_TABLE = struct.Struct("<iiiiq")


class Disk:
    """Of a RedisServer that has not been started yet."""

    def __init__(self, redis):
        self.path = os.path.join(redis.folder, "disk")
        self.heal()
        library = paths.compiled("sick_disk.c", "sick_disk.so", "-shared", "-fPIC", "-ldl")
        before = redis.process.env.get("LD_PRELOAD")
        redis.process.env.update({"SICK_DISK": self.path, "LD_PRELOAD": f"{library}:{before}" if before else library})

    def _write(self, *row):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:  # the same file: it is mapped
            file.write(_TABLE.pack(*row))

    def heal(self):
        self._write(0, 0, 0, 0, 0)

    def fill(self, room=0):
        """No more than `room` bytes can be written; the write that reaches the end is a part of one."""
        self._write(1, 0, 0, 0, room)

    def break_writes(self, error):
        self._write(0, error, 0, 0, 0)

    def break_syncs(self, error):
        self._write(0, 0, error, 0, 0)

    def slow(self, ms):
        """Each sync takes so long."""
        self._write(0, 0, 0, ms, 0)
