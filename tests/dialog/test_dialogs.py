"""
Plays tests/dialog/<area>/<claim>.smtp against a real ingress with a real Redis: whole, and byte by byte.

    # a comment; `# proves: B29 B30`; `# with: ingress.max_errors=3 ingress.relay_domains=a.example,b.example`
    C: a line the client says, CR LF added; consecutive ones go in one write
    R: raw bytes the client says, with Python's escapes
    S: how the server's next reply begins (a whole reply, all its lines, is taken)
    X: the server closes the connection, without another word
    M: the content stored under the id of the last 250, below our Received field, with Python's escapes
    Q: how many jobs are in the queue that were not before
    once: not byte by byte (the order of writes is the claim)
"""

import glob
import os
import re
import socket

import pytest

from harness import paths
from harness.cluster import Cluster, merged

FOLDER = os.path.dirname(os.path.abspath(__file__))
FILES = sorted(os.path.relpath(path, FOLDER) for path in glob.glob(os.path.join(FOLDER, "*", "*.smtp")))
TIMEOUT = 20
ULID = re.compile(rb"queued as ([0-9A-HJKMNP-TV-Z]{26})")


class Dialogue:
    """A file: its steps as (kind, bytes), the settings it wants, whether bytes may be dribbled."""

    def __init__(self, name):
        self.steps, self.settings, self.can_dribble = [], "", True
        with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                self._read(f"{name}:{number}", line.rstrip("\n"))

    def _read(self, place, line):
        if line.startswith("# with: "):
            self.settings = line[len("# with: "):].strip()
        elif line == "once":
            self.can_dribble = False
        elif line and not line.startswith("#"):
            kind, _, text = line.partition(":")
            if kind not in ("C", "R", "S", "X", "M", "Q"):
                raise ValueError(f"{place}: {line}")
            text = text[1:] if text.startswith(" ") else text
            raw = text.encode("utf-8")
            if kind in "RM":
                raw = text.encode("utf-8").decode("unicode_escape").encode("latin-1")
            self.steps.append((kind, raw, place))


PLAIN = {"ingress": {"compression": "none"}}  # what is stored is looked at


def settings_of(text):
    """{"section": {"name": value}} of "section.name=value ..."; a comma makes a list."""
    settings = {}
    for word in text.split():
        path, _, value = word.partition("=")
        section, _, name = path.partition(".")
        is_list = name in ("trusted_networks", "relay_domains")
        settings.setdefault(section, {})[name] = value.split(",") if is_list else value
    return settings


@pytest.fixture(scope="module")
def ingresses():
    """Running ingresses by the settings they were started with."""
    running = {}

    def get(settings):
        if settings not in running:
            running[settings] = Cluster(ingress=1, dispatchers=0, couriers=0, settings=merged(PLAIN, settings_of(settings))).start()
        return running[settings]
    yield get
    for cluster in running.values():
        cluster.__exit__(None, None, None)


class Client:
    """A socket with the server's replies."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = b""

    def say(self, data, dribble):
        try:
            for piece in ([data[i:i + 1] for i in range(len(data))] if dribble else [data]):
                self.socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what the server said before it closed is judged by the next step

    def _line(self):
        while b"\n" not in self.left:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.left += more
        line, _, self.left = self.left.partition(b"\n")
        return line + b"\n"

    def reply(self, place):
        lines = [self._line()]
        while lines[-1] and lines[-1][3:4] == b"-":
            lines.append(self._line())
        assert all(lines), f"{place}: closed, after {lines}"
        for line in lines:
            assert line.endswith(b"\r\n") and len(line) <= 512 and line[:3] == lines[0][:3], f"{place}: {line}"
        return b"".join(lines)

    def at_end(self):
        return self._line() is None


def stored_content(cluster, ulid, place):
    """Content below the Received field, which is the first with all its folded lines."""
    with cluster.redis.client() as redis:
        keys = sorted(redis.keys(b"b:*:" + ulid + b".0:*"), key=lambda key: int(key.rsplit(b":", 1)[1]))
        whole = b"".join(redis.get(key) for key in keys)
    assert whole.startswith(b"Received: from "), f"{place}: {whole[:80]}"
    return re.sub(rb"\AReceived:[^\n]*\r\n(?:[ \t][^\n]*\r\n)*", b"", whole, count=1)


def waiting(cluster):
    with cluster.redis.client() as redis:
        return len(redis.keys(b"j:*"))


def play(cluster, dialogue, dribble):
    before = waiting(cluster)
    client = Client(cluster.addresses[0])
    ulid, group = None, b""
    for i, (kind, text, place) in enumerate(dialogue.steps):
        if kind in "CR":
            group += text + (b"\r\n" if kind == "C" else b"")
            if i + 1 < len(dialogue.steps) and dialogue.steps[i + 1][0] in "CR":
                continue
            client.say(group, dribble)
            group = b""
        elif kind == "S":
            reply = client.reply(place)
            assert reply.startswith(text), f"{place}: wanted {text}, heard {reply}"
            ulid = ULID.search(reply).group(1) if ULID.search(reply) else ulid
        elif kind == "X":
            assert client.at_end(), f"{place}: still open"
        elif kind == "M":
            assert stored_content(cluster, ulid, place) == text, place
        elif kind == "Q":
            assert waiting(cluster) - before == int(text), place
    client.socket.close()


@pytest.mark.skipif(not os.path.exists(paths.program("barid-ingress")), reason="barid-ingress is not built")
@pytest.mark.parametrize("name", FILES)
def test_dialogue(ingresses, name):
    dialogue = Dialogue(name)
    play(ingresses(dialogue.settings), dialogue, False)
    if dialogue.can_dribble:
        play(ingresses(dialogue.settings), dialogue, True)
