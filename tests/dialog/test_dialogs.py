"""
Plays tests/dialog/<area>/<claim>.smtp against a real ingress with a real Redis: whole, byte by byte, and split in two at every position, the
second part said when the first was read. DIALOG_SPLITS=40 plays only so many positions of each, drawn with DIALOG_SEED.
test_dialogs_in_memory.py plays them against the engine alone.

    # a comment; `# proves:` with what it proves; `# with: ingress.max_errors=3 ingress.relay_domains=a.example,b.example`
    # `# on: submission`: the listener it is played on, made by `# with: listeners.submission.role=submission`; with
    # tls.certificates=CERTIFICATE there is one for mx.test. `# user: anna@example.com her-password`: who may log in
    `# table: aliases bob@relay.example ann@other.example`: a line of the file of setting tables.aliases
    C: a line the client says, CR LF added; consecutive ones go in one write
    R: raw bytes the client says, with Python's escapes
    S: how the server's next reply begins (a whole reply, all its lines, is taken)
    T: TLS begins here, as its client
    X: the server closes the connection, without another word
    M: the content stored under the id of the last 250, below our Received field, with Python's escapes
    Q: how many jobs are in the queue that were not before
    once: not byte by byte (the order of writes is the claim)
"""

import glob
import os
import random
import re
import shutil
import socket
import ssl
import struct
import tempfile
import time

import pytest

from harness import paths, wait
from harness.authority import Authority
from harness.cluster import Cluster, merged

FOLDER = os.path.dirname(os.path.abspath(__file__))
FILES = sorted(os.path.relpath(path, FOLDER) for path in glob.glob(os.path.join(FOLDER, "*", "*.smtp")))
TIMEOUT = 20
SPLITS = int(os.environ.get("DIALOG_SPLITS", "0"))
SEED = int(os.environ.get("DIALOG_SEED", str(int(time.time()))))
NAME = b"ingress"  # how the replies begin that have no status: greeting, EHLO, HELO
PRINTABLE = re.compile(rb"[ -~]*\r\n")
STATUS = re.compile(rb"3\d\d |([245])\d\d[ -]\1\.\d{1,3}\.\d{1,3} \S")  # of the class of its code
ULID = re.compile(rb"queued as ([0-9A-HJKMNP-TV-Z]{26})")


class Dialogue:
    """A file: its steps as (kind, bytes), the settings it wants, whether bytes may be dribbled."""

    def __init__(self, name):
        self.steps, self.settings, self.users, self.listener, self.can_dribble = [], "", (), None, True
        self.tables = ()  # (setting, line)
        with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                self._read(f"{name}:{number}", line.rstrip("\n"))

    def _read(self, place, line):
        if line.startswith("# with: "):
            self.settings = " ".join([self.settings, line[len("# with: "):].strip()]).strip()
        elif line.startswith("# on: "):
            self.listener = line[len("# on: "):].strip()
        elif line.startswith("# table: "):
            self.tables += (tuple(line[len("# table: "):].split(" ", 1)),)
        elif line.startswith("# user: "):
            self.users += (tuple(line[len("# user: "):].split()),)
        elif line == "once":
            self.can_dribble = False
        elif line and not line.startswith("#"):
            kind, _, text = line.partition(":")
            if kind not in ("C", "R", "S", "T", "X", "M", "Q"):
                raise ValueError(f"{place}: {line}")
            text = text[1:] if text.startswith(" ") else text
            raw = text.encode("utf-8")
            if kind in "RM":
                raw = text.encode("utf-8").decode("unicode_escape").encode("latin-1")
            self.steps.append((kind, raw, place))


PLAIN = {"ingress": {"compression": "none"}}  # what is stored is looked at


LISTS = {"trusted_networks", "relay_domains", "certificates", "extensions", "mechanisms", "xclient", "balancers"}


def settings_of(text, certificate=None):
    """{"section": {"name": value}} of "section.name=value ..."; a comma makes a list."""
    settings = {}
    for word in text.split():
        path, _, value = word.partition("=")
        *sections, name = path.split(".")
        inner = settings
        for section in sections:
            inner = inner.setdefault(section, {})
        value = value.replace("CERTIFICATE", certificate or "")
        inner[name] = value.split(",") if name in LISTS else value
    return settings


@pytest.fixture(scope="module")
def authority():
    with tempfile.TemporaryDirectory() as folder:
        yield Authority(folder)


def write_tables(lines):
    """The settings of files with these lines, one for each kind of table."""
    folder = tempfile.mkdtemp(prefix="barid-tables-") if lines else None
    settings = {}
    for name, line in lines:
        settings[name] = [os.path.join(folder, name)]
        with open(settings[name][0], "a", encoding="utf-8") as file:
            file.write(line + "\n")
    return folder, settings


@pytest.fixture(scope="module")
def ingresses(authority):
    """Running ingresses by the settings they were started with."""
    running, certificate, folders = {}, authority.issue("mx.test"), []

    def get(dialogue):
        key = (dialogue.settings, dialogue.users, dialogue.tables)
        if key not in running:
            settings = settings_of(dialogue.settings, certificate)
            listeners = settings.pop("listeners", None)
            folder, files = write_tables(dialogue.tables)
            if folder:
                folders.append(folder)
                settings["tables"] = merged(settings.get("tables", {}), files)
            running[key] = Cluster(ingress=1, dispatchers=0, couriers=0, settings=merged(PLAIN, settings), listeners=listeners).start()
            for name, password in dialogue.users:
                running[key].add_user(name, password)
        return running[key]
    yield get
    for cluster in running.values():
        cluster.__exit__(None, None, None)
    for folder in folders:
        shutil.rmtree(folder)


class Client:
    """A socket with the server's replies."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = b""

    def start_tls(self, context, name="mx.test"):
        assert self.left == b"", self.left
        self.socket = context.wrap_socket(self.socket, server_hostname=name)

    def unread(self):
        """Bytes that the kernel holds for the server, which runs on this machine; 0 too when it has closed."""
        host, port = self.socket.getpeername()
        server = f"{struct.unpack('=I', socket.inet_aton(host))[0]:08X}:{port:04X}"
        host, port = self.socket.getsockname()
        ours = f"{struct.unpack('=I', socket.inet_aton(host))[0]:08X}:{port:04X}"
        with open("/proc/net/tcp", encoding="ascii") as table:
            for line in table:
                fields = line.split()
                if fields[1] == server and fields[2] == ours:
                    return int(fields[4].partition(":")[2], 16)
        return 0

    def say(self, data, pieces=None):
        """All at once, or in these pieces, each when the one before was read."""
        try:
            for i, piece in enumerate(pieces or [data]):
                if i > 0:
                    wait.until(lambda: self.unread() == 0, TIMEOUT, "the server has read it", 0.0001)
                self.socket.sendall(piece)
        except (OSError, ssl.SSLError):
            pass  # what the server said before it closed is judged by the next step

    def _line(self):
        while b"\n" not in self.left:
            try:
                more = self.socket.recv(65536)
            except (ConnectionResetError, ssl.SSLError):
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
            assert PRINTABLE.fullmatch(line), f"{place}: {line}"
        assert STATUS.match(lines[0]) or lines[0][4:].startswith(NAME), f"{place}: {lines[0]}"
        return b"".join(lines)

    def at_end(self):
        return self._line() is None


def stored_content(cluster, ulid, place):
    """Content below the Received field, which is the first with all its folded lines."""
    with cluster.redis.client() as redis:
        keys = sorted(redis.keys(b"b:*:" + ulid + b".0:*"), key=lambda key: int(key.rsplit(b":", 1)[1]))
        whole = b"".join(redis.get(key) for key in keys)
    assert whole.startswith(b"Received: from"), f"{place}: {whole[:80]}"
    return re.sub(rb"\AReceived:[^\n]*\r\n(?:[ \t][^\n]*\r\n)*", b"", whole, count=1)


def waiting(cluster):
    with cluster.redis.client() as redis:
        return len(redis.keys(b"j:*"))


def cut(group, said, how):
    """The pieces of what is said after so many bytes: how is None, "dribble", or the position among all that is said."""
    if how == "dribble":
        return [group[i:i + 1] for i in range(len(group))]
    at = how - said if how is not None else 0
    return [group[:at], group[at:]] if 0 < at < len(group) else None


def play(cluster, dialogue, how, context):
    """Returns how many bytes were said."""
    before, said = waiting(cluster) if any(kind == "Q" for kind, _, _ in dialogue.steps) else 0, 0
    client = Client(cluster.address(dialogue.listener) if dialogue.listener else cluster.addresses[0])
    ulid, group = None, b""
    for i, (kind, text, place) in enumerate(dialogue.steps):
        if kind in "CR":
            group += text + (b"\r\n" if kind == "C" else b"")
            if i + 1 < len(dialogue.steps) and dialogue.steps[i + 1][0] in "CR":
                continue
            client.say(group, cut(group, said, how))
            said += len(group)
            group = b""
        elif kind == "S":
            reply = client.reply(place)
            assert reply.startswith(text), f"{place}: wanted {text}, heard {reply}"
            ulid = ULID.search(reply).group(1) if ULID.search(reply) else ulid
        elif kind == "T":
            client.start_tls(context)
        elif kind == "X":
            assert client.at_end(), f"{place}: still open"
        elif kind == "M":
            assert stored_content(cluster, ulid, place) == text, place
        elif kind == "Q":
            assert waiting(cluster) - before == int(text), place
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves nothing behind in the kernel
    client.socket.close()
    return said


def positions(count):
    all_of_them = range(1, count)
    if SPLITS == 0 or count <= SPLITS:
        return all_of_them
    return sorted(random.Random(SEED).sample(all_of_them, SPLITS))


# proves: B11 B12
@pytest.mark.skipif(not os.path.exists(paths.program("barid-ingress")), reason="barid-ingress is not built")
@pytest.mark.parametrize("name", FILES)
def test_dialogue(ingresses, authority, name):
    dialogue, context = Dialogue(name), authority.client()
    said = play(ingresses(dialogue), dialogue, None, context)
    if not dialogue.can_dribble:
        return
    play(ingresses(dialogue), dialogue, "dribble", context)
    print(f"DIALOG_SEED={SEED}")
    for at in positions(said):
        play(ingresses(dialogue), dialogue, at, context)
