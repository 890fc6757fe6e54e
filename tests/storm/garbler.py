"""A relay in front of Redis that now and then says, instead of a reply, what no Redis would, and hangs up."""

import socket
import threading

# None of them is a whole reply: one too many would be taken for that to the next request, and no client of Redis could know.
_NO_REPLIES = [b"\xff\xfe\0", b"!x\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mx.example ESMTP\r\n", b"$99999999999999999999\r\n", b"$-2\r\n",
               b"*99999999999\r\n", b"*4294967296\r\n", b"*1000000\r\n:1\r\n", b"*1\r\n" * 2000, b"$536870912\r\n", b"$100\r\nabc", b":12a\r\n", b"$1\r\nabc\r\n", b"*-7\r\n",
               b"%2\r\n", b"$x\r\n", b"\r\n\r\n", b"\0" * 5000, b"*3\r\n$2147483647\r\n", b"+" + b"a" * 100000, b"$5\r\nab\r\nc", b"*2\r\n*2\r\n*2\r\n*2\r\n:1\r\n"]


class Replies:
    """Finds where replies end (RESP2)."""

    def __init__(self):
        self._line, self._open, self._skip = b"", [], 0

    def ends(self, octets):
        """Offsets in octets behind which a reply is over."""
        found, at = [], 0
        while at < len(octets):
            if self._skip:
                count = min(self._skip, len(octets) - at)
                at, self._skip = at + count, self._skip - count
                is_value = self._skip == 0
            else:
                line_end = octets.find(b"\n", at)
                if line_end < 0:
                    self._line += octets[at:]
                    break
                line, self._line, at = self._line + octets[at:line_end], b"", line_end + 1
                is_value = self._begin(line)
            if is_value and self._is_whole():
                found.append(at)
        return found

    def _begin(self, line):
        """Whether the value is over with this line."""
        if line[:1] in (b"$", b"*") and int(line[1:]) > (-1 if line[:1] == b"$" else 0):
            if line[:1] == b"$":
                self._skip = int(line[1:]) + 2
            else:
                self._open.append(int(line[1:]))
            return False
        return True

    def _is_whole(self):
        while self._open:
            self._open[-1] -= 1
            if self._open[-1]:
                return False
            self._open.pop()
        return True


class Garbler:
    """Listens on 127.0.0.1:port for a Redis at a unix socket. spoil(): the next reply on some connection."""

    def __init__(self, port, path, dice):
        self.address, self._path, self._dice = f"127.0.0.1:{port}", path, dice
        self._server = socket.create_server(("127.0.0.1", port), backlog=200)
        self._connections, self._lock, self.spoilt = {}, threading.Lock(), 0
        threading.Thread(target=self._serve, daemon=True).start()

    def spoil(self):
        with self._lock:
            if self._connections:
                self._connections[self._dice.choice(sorted(self._connections))] = self._dice.choice(_NO_REPLIES)

    def close(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self):
        number = 0
        while True:
            try:
                near = self._server.accept()[0]
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self._path)
            except OSError:
                near.close()
                continue
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number += 1
            with self._lock:
                self._connections[number] = b""
            threading.Thread(target=self._ask, args=(near, far), daemon=True).start()
            threading.Thread(target=self._answer, args=(near, far, number), daemon=True).start()

    @staticmethod
    def _ask(near, far):
        try:
            while octets := near.recv(262144):
                far.sendall(octets)
        except OSError:
            pass
        for end in (near, far):
            _shut(end)

    def _answer(self, near, far, number):
        replies = Replies()
        try:
            while octets := far.recv(262144):
                ends = replies.ends(octets)
                with self._lock:
                    nonsense = self._connections[number] if ends else b""
                if nonsense:
                    near.sendall(octets[:ends[-1]] + nonsense)
                    self.spoilt += 1
                    break
                near.sendall(octets)
        except OSError:
            pass
        with self._lock:
            self._connections.pop(number, None)
        for end in (near, far):
            _shut(end)


def _shut(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
