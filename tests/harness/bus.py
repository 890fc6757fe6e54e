"""Peers of the bus that are none of ours: libzmq as anybody has it, and a tap that writes down what passes on a connection."""

import ctypes
import socket
import threading

_DEALER, _ROUTING_ID, _LINGER, _IMMEDIATE, _RECONNECT_MS = 5, 5, 17, 39, 18
_CURVE_PUBLIC, _CURVE_SECRET, _CURVE_SERVER_KEY = 48, 49, 50
_DONTWAIT, _SNDMORE = 1, 2
_library = None


def _zmq():
    global _library
    if not _library:
        _library = ctypes.CDLL("libzmq.so.5", use_errno=True)
        _library.zmq_ctx_new.restype = _library.zmq_socket.restype = ctypes.c_void_p
        _library.zmq_socket.argtypes = [ctypes.c_void_p, ctypes.c_int]
        _library.zmq_setsockopt.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
        _library.zmq_connect.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        _library.zmq_send.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
        _library.zmq_close.argtypes = _library.zmq_ctx_term.argtypes = [ctypes.c_void_p]
    return _library


def key_pair():
    """(public, secret), as texts."""
    public, secret = ctypes.create_string_buffer(41), ctypes.create_string_buffer(41)
    assert _zmq().zmq_curve_keypair(public, secret) == 0
    return public.value.decode(), secret.value.decode()


class Stranger:
    """A DEALER that connects to address ("host:port"); keys: (public, secret) and the hub's public key, or none: without CURVE."""

    def __init__(self, address, keys=None, hub_key=None, name=None):
        zmq = _zmq()
        self.context = zmq.zmq_ctx_new()
        self.socket = zmq.zmq_socket(self.context, _DEALER)
        self._set(_LINGER, 0)
        self._set(_IMMEDIATE, 1)
        self._set(_RECONNECT_MS, 20)
        if name:
            self._set(_ROUTING_ID, name.encode())
        if keys:
            self._set(_CURVE_SERVER_KEY, hub_key.encode())
            self._set(_CURVE_PUBLIC, keys[0].encode())
            self._set(_CURVE_SECRET, keys[1].encode())
        assert zmq.zmq_connect(self.socket, f"tcp://{address}".encode()) == 0

    def _set(self, option, value):
        octets = value if isinstance(value, bytes) else value.to_bytes(4, "little", signed=True)
        assert _zmq().zmq_setsockopt(self.socket, option, octets, len(octets)) == 0, option

    def say(self, *parts):
        """Whether libzmq took them: it does once the handshake is over."""
        for index, part in enumerate(parts):
            flags = _DONTWAIT | (_SNDMORE if index + 1 < len(parts) else 0)
            if _zmq().zmq_send(self.socket, part, len(part), flags) < 0:
                return False
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _zmq().zmq_close(self.socket)
        _zmq().zmq_ctx_term(self.context)


# ---- frames (proto/bus.proto)

def _varint(number):
    octets = b""
    while number > 127:
        octets, number = octets + bytes([number & 127 | 128]), number >> 7
    return octets + bytes([number])


def _message(**fields):
    octets = b""
    for name, value in fields.items():
        number = int(name.lstrip("f"))
        if isinstance(value, bytes):
            octets += _varint(number << 3 | 2) + _varint(len(value)) + value
        else:
            octets += _varint(number << 3) + _varint(value)
    return octets


def ring(partition, queue):
    return _message(f2=_message(f1=partition, f2=queue.encode(), f3=1))


def hello(incarnation, clock_ms, count=1):
    return _message(f1=_message(f1=incarnation, f2=clock_ms, f3=1000, f5=1000, f6=count))


def report(incarnation, clock_ms, partition, queue, token, count=1):
    """A courier gives its grant of a queue back."""
    body = _message(f1=partition, f2=queue.encode(), f3=token, f6=1, f8=1)
    return hello(incarnation, clock_ms, count) + _message(f4=body)


# ---- what passes

class Tap:
    """Passes connections on to target ("host:port") and keeps what the clients said, a bytearray each."""

    def __init__(self, port, target):
        self.port, self.target = port, (target.rpartition(":")[0], int(target.rpartition(":")[2]))
        self.recorded, self._open, self._lock = [], [], threading.Lock()
        self._server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _serve(self):
        while True:
            try:
                near = self._server.accept()[0]
            except OSError:
                return
            try:
                far = socket.create_connection(self.target, 5)
            except OSError:
                near.close()
                continue
            record = bytearray()
            with self._lock:
                self.recorded.append(record)
                self._open += [near, far]
            threading.Thread(target=self._pass, args=(near, far, record), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, None), daemon=True).start()

    @staticmethod
    def _pass(source, sink, record):
        try:
            while True:
                octets = source.recv(65536)
                if not octets:
                    break
                if record is not None:
                    record.extend(octets)
                sink.sendall(octets)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.close()
        with self._lock:
            for end in self._open:
                end.close()
