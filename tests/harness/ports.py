"""Ports on loopback that nobody has, below the range the kernel takes for outgoing connections."""

import random
import socket

_taken = set()


def _is_free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True


def free_port():
    """A port that is free for TCP and UDP now, and that this process has not handed out before."""
    for _ in range(2000):
        port = random.SystemRandom().randrange(12000, 30000)
        if port not in _taken and _is_free(port):
            _taken.add(port)
            return port
    raise OSError("no free port between 12000 and 30000")


def accepts(port, host="127.0.0.1"):
    """Whether something accepts TCP connections there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False
