"""A host that speaks no SMTP of its own: a function of the test holds the bare connection, octet by octet."""

import select
import socket
import threading


class RawHost:
    """Calls serve(connection, wait) for each connection in a thread of its own; wait(seconds) ends early when the host stops."""

    def __init__(self, host, port, serve, receive_buffer=None):
        self._serve = serve
        self._stopped = threading.Event()
        self.connections = 0
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind((host, port))
        self._listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._hold, args=(connection,), daemon=True).start()

    def _hold(self, connection):
        with connection:
            try:
                self._serve(connection, self._stopped.wait)
            except OSError:
                pass


def is_closed(connection):
    """The other side has ended it."""
    readable, _, _ = select.select([connection], [], [], 0)
    try:
        return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


def trickle(octets, pause):
    """serve(): says these octets again and again, one at a time."""
    def serve(connection, wait):
        while True:
            for octet in octets:
                connection.sendall(bytes([octet]))
                if wait(pause):
                    return
    return serve


def flood(octets):
    """serve(): says these octets again and again, as fast as it goes."""
    def serve(connection, wait):
        while not wait(0):
            connection.sendall(octets)
    return serve


class Unreachable:
    """An address that accepts nothing: its queue of connections is full, so a connection hangs instead of failing."""

    def __init__(self, host, port):
        self._listener = socket.socket()
        self._listener.bind((host, port))
        self._listener.listen(0)
        self._fill = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((host, port))
            self._fill.append(filler)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in [*self._fill, self._listener]:
            one.close()
