"""
A scripted SMTP or LMTP sink: keeps every message byte for byte, notes when each dot came and was answered, speaks TLS
and asks for passwords if it is told to, and misbehaves as told.
"""

import asyncio
import hashlib
import re
import socket
import ssl
import struct
import threading
import time

from . import ports, wait
from .served import Served
from .sink_auth import MECHANISMS, Refused, authenticate

STAGES = ("connect", "ehlo", "starttls", "handshake", "challenge", "auth", "mail", "rcpt", "data", "body", "dot", "rset", "quit")
DEFAULT_FEATURES = ("PIPELINING", "SIZE 104857600", "8BITMIME", "ENHANCEDSTATUSCODES")
LEDGER_HEADER = b"x-ledger-id:"
BODY_HEADER = b"x-ledger-body:"
_RECEIVED_ID = re.compile(rb"\sid\s+<?([0-9A-Za-z]{16,40})")


class Action:
    """What happens at a stage instead of the usual reply. Made by the functions below."""

    def __init__(self, text=None, drop=False, hold=None, pieces=0, taken=None, after=0, is_reset=False, is_endless=False):
        self.text, self.drop, self.hold, self.pieces = text, drop, hold, pieces
        self.taken, self.after, self.is_reset, self.is_endless = taken, after, is_reset, is_endless


def reply(text, then_drop=False):
    """
    Says this: one line or several, "550-5.1.1 a\\n550 5.1.1 b". With then_drop the connection is closed after
    it.
    """
    return Action(text=text, drop=then_drop)


def drop(after=0, taken=True):
    """
    Closes the connection without a reply. At "body": once `after` octets of content have come, before any
    dot. At "dot": the dot has come; `taken` says whether the message counts as delivered, its reply lost.
    """
    return Action(drop=True, taken=taken, after=after)


def reset(taken=True):
    """As drop(), but the other side hears of it by RST."""
    return Action(drop=True, taken=taken, is_reset=True)


def endless(octets):
    """Sends these octets again and again, as fast as they are taken, until the other side has had enough."""
    return Action(text=octets, drop=True, is_endless=True)


def stall(seconds=None, gate=None, text=None):
    """Waits so long, or until gate.open(), and goes on with `text` or the usual reply."""
    return Action(hold=gate if gate is not None else seconds, text=text)


def garbage(octets):
    """Sends these octets as they are in place of a reply."""
    return Action(text=octets)


def split(text=None):
    """The reply octet by octet, one segment each."""
    return Action(text=text, pieces=1)


class Gate:
    """Holds what stalls at it until open(). Threads of the test may call open() at any time."""

    def __init__(self):
        self._opened = threading.Event()
        self.held = 0

    def open(self):
        self._opened.set()

    async def pass_through(self):
        self.held += 1
        while not self._opened.is_set():
            await asyncio.sleep(0.005)
        self.held -= 1

    def wait_held(self, count=1, timeout=20):
        wait.until(lambda: self.held >= count, timeout,
                   lambda: f"{count} held at the gate, there are {self.held}")


class Rule:
    """Where an action applies. nth: only at the nth match; times: at most so often."""

    def __init__(self, stage, action, recipient=None, domain=None, sender=None, host=None, nth=None,
                 times=None, match=None):
        if stage not in STAGES:
            raise ValueError(f"no stage {stage}")
        self.stage, self.action = stage, action
        self.recipient, self.domain, self.sender, self.host = recipient, domain, sender, host
        self.nth, self.times, self.match = nth, times, match
        self.matched = self.used = 0

    def _applies(self, session, transaction, recipient):
        if self.host is not None and session.host != self.host:
            return False
        if self.sender is not None and (transaction is None or transaction.sender != self.sender):
            return False
        if self.recipient is not None or self.domain is not None:
            known = [recipient] if recipient is not None else transaction.recipients if transaction else []
            if not any(self.recipient in (None, name)
                       and self.domain in (None, name.rpartition("@")[2].lower()) for name in known):
                return False
        return self.match is None or bool(self.match(session, transaction))

    def take(self, session, transaction, recipient):
        if self.times is not None and self.used >= self.times:
            return None
        if not self._applies(session, transaction, recipient):
            return None
        self.matched += 1
        if self.nth is not None and self.matched != self.nth:
            return None
        self.used += 1
        return self.action


class Session:
    """
    One connection: when it opened and closed (monotonic seconds), what it said. peer: its (address, port). tls: None, or
    {"version", "cipher", "is_resumed"}; sni: the name asked for; offers_ticket: it wants to resume a session;
    tls_error: why its handshake failed. user: who it has shown to be; mechanism: how. challenges: how many AUTH has sent it.
    plain: all that was heard outside TLS (its beginning).
    """

    PLAIN_MAX = 1 << 16

    def __init__(self, host, peer):
        self.host, self.peer = host, peer
        self.opened_at, self.closed_at = time.monotonic(), None
        self.helo = self.tls = self.sni = self.tls_error = self.user = self.mechanism = None
        self.offers_ticket = False
        self.challenges = 0
        self.plain = bytearray()
        self.commands = []
        self.transactions = []


class Transaction:
    """
    One MAIL, at began_at. `taken`: the sink has it (a copy was delivered). dot_at: the dot was read; replied_at: its reply
    was written, None while open and for good when the connection was dropped instead. Times are monotonic.
    is_whole: False when the body is not the one whose SHA-256 stands in its header, None when that is not known.
    """

    def __init__(self, session, sender, arguments):
        self.session, self.sender, self.arguments = session, sender, arguments
        self.began_at = time.monotonic()
        self.recipients, self.refused = [], []
        self.chunks = []  # by BDAT
        self.wishes = {}  # of each recipient: what followed its address
        self.content = None
        self.digest = self.size = None
        self.ledger_id = self.message_id = None
        self.dot_at = self.replied_at = self.reply = None
        self.taken = False
        self.is_whole = None

    def note_content(self, head, size, digest):
        """head: as much of the content as is kept, at least its header section."""
        self.content, self.size, self.digest = head, size, digest
        end = head.find(b"\r\n\r\n", 0, 1 << 20)
        for line in head[:end + 2 if end >= 0 else 1 << 16].split(b"\r\n"):
            name = line[:16].lower()
            if name.startswith(LEDGER_HEADER):
                self.ledger_id = line.partition(b":")[2].strip().decode("latin-1")
            elif name.startswith(BODY_HEADER) and len(head) == size:
                told = line.partition(b":")[2].strip().decode("latin-1")
                self.is_whole = told == hashlib.sha256(head[end + 4:]).hexdigest()
        received = _RECEIVED_ID.search(head[:1 << 16])
        self.message_id = received.group(1).decode() if received else None


class _Stream:
    def __init__(self, reader, session):
        self.reader, self.session, self.buffer = reader, session, bytearray()

    async def _more(self):
        piece = await self.reader.read(1 << 18)
        if not piece:
            raise ConnectionResetError("closed")
        self.buffer += piece
        if not self.session.tls:
            self.session.plain += piece[:Session.PLAIN_MAX - len(self.session.plain)]

    async def rest(self):
        """All that comes until the other side closes."""
        while True:
            del self.buffer[:]
            await self._more()

    async def line(self):
        while True:
            end = self.buffer.find(b"\n")
            if end >= 0:
                line = bytes(self.buffer[:end + 1])
                del self.buffer[:end + 1]
                return line
            await self._more()

    async def octets(self, count):
        while len(self.buffer) < count:
            await self._more()

    async def content(self, keep):
        """Up to the dot, dot-stuffing removed: (its first `keep` octets, size, SHA-256). No more than that is held."""
        head, size, digest = bytearray(), 0, hashlib.sha256()
        while len(self.buffer) < 3:
            await self._more()
        if self.buffer.startswith(b".\r\n"):
            del self.buffer[:3]
            return b"", 0, digest.hexdigest()
        if self.buffer.startswith(b"."):
            del self.buffer[:1]
        end, seen = -1, 0
        while end < 0:
            end = self.buffer.find(b"\r\n.\r\n", max(0, seen - 4))
            seen = len(self.buffer)
            # No further than before a line end: what follows it is not known yet.
            cut = end + 2 if end >= 0 else self.buffer.rfind(b"\r\n", 0, max(0, seen - 4))
            if cut > 0:
                piece = bytes(self.buffer[:cut]).replace(b"\r\n.", b"\r\n")
                del self.buffer[:cut + (3 if end >= 0 else 0)]
                seen -= cut
                size += len(piece)
                digest.update(piece)
                head += piece[:max(0, keep - len(head))]
            if end < 0:
                await self._more()
        return bytes(head), size, digest.hexdigest()


class ScriptedSink(Served):
    """
    Listens on `port` of each of `hosts`, on the host of network.py that is given, or on the unix socket `path`. keep: how much of each content is kept, beside its
    size and digest. rule(...) adds a Rule, the first that matches acts. `.transactions` holds every MAIL, `.copies()`
    what was taken.

    tls: a PEM file with chain and key (Authority.issue), or an ssl.SSLContext; STARTTLS is offered then. secure() changes
    it, also of single hosts. users: {name: password}: mail is taken only after AUTH, offered inside TLS only unless
    auth_without_tls; demand_login() changes them. is_wrapped: TLS comes before the greeting (port 465). is_lmtp: LHLO, and a reply to each accepted recipient behind the dot; "dot" rules act on each.

    Stages of TLS: "starttls" is the reply to STARTTLS: one that does not begin with 220 leaves TLS out, and
    garbage(b"220 go\\r\\n250 injected\\r\\n") puts more into its segment. "handshake" comes after it: garbage(), drop() or
    stall() in place of it; stall(gate=...) without text goes on with it. Of AUTH: "challenge" is each 334, "auth" what ends it.
    """

    def __init__(self, hosts=("127.0.0.1",), port=None, features=DEFAULT_FEATURES, keep=1 << 30,
                 name="sink.test", tls=None, users=None, mechanisms=MECHANISMS, auth_without_tls=False, is_lmtp=False, is_wrapped=False, path=None,
                 host=None):
        super().__init__(name, host)
        self.hosts, self.port, self.path = ([] if path else list(hosts)), port or (None if path else ports.free_port()), path
        self.features, self.keep = list(features), keep
        self.mechanisms, self.auth_without_tls = list(mechanisms), auth_without_tls
        self.is_lmtp, self.is_wrapped = is_lmtp, is_wrapped
        self._tls = {None: _context(tls)} if tls else {}
        self._users = {None: users} if users is not None else {}
        self._names = {}  # id of a session's TLS: the name it asked for
        self.rules, self.sessions, self.transactions = [], [], []
        self._servers, self._writers = {}, {}

    # -- from the test's threads

    def rule(self, stage, action, **where):
        added = Rule(stage, action, **where)
        self.rules.append(added)
        return added

    def secure(self, tls, *hosts):
        """From now on sessions of these hosts (none: all) are offered STARTTLS with this certificate; None: not offered."""
        for host in hosts or (None,):
            self._tls[host] = _context(tls) if tls else None

    def demand_login(self, users, *hosts):
        """Sessions of these hosts (none: all) must show to be one of users ({name: password}); None: no AUTH there."""
        for host in hosts or (None,):
            self._users[host] = users

    def shut(self, *hosts):
        """From now on these hosts refuse connections, and those they have are reset."""
        asyncio.run_coroutine_threadsafe(self._shut(hosts), self._loop).result(10)

    def open_again(self, *hosts):
        """These hosts take connections again."""
        asyncio.run_coroutine_threadsafe(self._listen(hosts), self._loop).result(10)

    def clear(self, *rules):
        """Takes these rules away, or all."""
        self.rules = [rule for rule in self.rules if rules and rule not in rules]

    def taken(self):
        return [transaction for transaction in list(self.transactions) if transaction.taken]

    def dots(self):
        """Every transaction whose dot came, taken or not."""
        return [transaction for transaction in list(self.transactions) if transaction.dot_at is not None]

    def copies(self):
        """{(ledger id, recipient): [transactions that delivered it, by time]}"""
        found = {}
        for transaction in self.taken():
            for recipient in transaction.recipients:
                found.setdefault((transaction.ledger_id, recipient), []).append(transaction)
        return found

    def wait_taken(self, count, timeout=60):
        wait.until(lambda: len(self.taken()) >= count, timeout,
                   lambda: f"{count} messages at the sink, there are {len(self.taken())}")
        return self.taken()

    def wait_for(self, predicate, timeout=60, what="a transaction at the sink"):
        """Waits for a transaction for which predicate(transaction) is true; returns it."""
        return wait.until(lambda: next((t for t in list(self.transactions) if predicate(t)), None), timeout,
                          what)

    # -- on the loop's thread

    async def _open(self):
        await self._listen(self.hosts)
        if self.path:
            self._servers[self.path] = await asyncio.start_unix_server(lambda r, w: self._accept(self.path, r, w), self.path, backlog=1000)

    async def _close(self):
        for server in self._servers.values():
            server.close()

    async def _listen(self, hosts):
        for host in hosts:
            self._servers[host] = await asyncio.start_server(
                lambda r, w, host=host: self._accept(host, r, w), host, self.port, backlog=1000)

    async def _shut(self, hosts):
        for host in hosts:
            self._servers.pop(host).close()
        for session, writer in list(self._writers.items()):
            if session.host in hosts:
                writer.transport.abort()

    async def _accept(self, host, reader, writer):
        self.tasks.add(asyncio.current_task())
        session = Session(host, writer.get_extra_info("peername"))
        self.sessions.append(session)
        self._writers[session] = writer
        try:
            await self._converse(session, _Stream(reader, session), writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass
        except ssl.SSLError as error:
            session.tls_error = session.tls_error or str(error)
        finally:
            session.closed_at = time.monotonic()
            del self._writers[session]
            writer.transport.abort() if session.commands[-1:] != ["QUIT"] else writer.close()
            self.tasks.discard(asyncio.current_task())

    def _action(self, stage, session, transaction, recipient=None):
        for rule in self.rules:
            if rule.stage == stage:
                action = rule.take(session, transaction, recipient)
                if action is not None:
                    return action
        return None

    async def _say(self, writer, text):
        writer.write(text if isinstance(text, bytes)
                     else ("\r\n".join(text.split("\n")) + "\r\n").encode("utf-8"))
        if writer.transport.get_write_buffer_size() > 65536:
            await writer.drain()

    @staticmethod
    async def _hold(action):
        if isinstance(action.hold, Gate):
            await action.hold.pass_through()
        elif action.hold:
            await asyncio.sleep(action.hold)

    async def _answer(self, writer, action, usual):
        """
        Carries out an action, or says the usual; returns the reply's text. Raises when the connection is to
        be closed.
        """
        if action is None:
            await self._say(writer, usual)
            return usual
        await self._hold(action)
        text = action.text if action.text is not None else usual
        if action.is_reset:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if action.drop and action.text is None:
            raise ConnectionAbortedError
        while action.is_endless:
            writer.write(text * (16384 // len(text)))
            await writer.drain()
            await asyncio.sleep(0.001)  # drain() lets nobody else run while all is taken
            if writer.transport.is_closing():  # of which drain() inside TLS says nothing
                raise ConnectionResetError
        if action.pieces:
            for octet in (text if isinstance(text, bytes)
                          else (text.replace("\n", "\r\n") + "\r\n").encode()):
                writer.write(bytes([octet]))
                await asyncio.sleep(0.001)
        else:
            await self._say(writer, text)
        if action.drop:
            await writer.drain()
            writer.close()
            raise ConnectionAbortedError
        return text

    async def _converse(self, session, stream, writer):
        if self.is_wrapped:
            writer.transport.pause_reading()
            await self._shake(session, stream, writer)
        await self._answer(writer, self._action("connect", session, None), f"220 {self.name} ESMTP")
        transaction = None
        while True:
            line = (await stream.line()).rstrip(b"\r\n").decode("utf-8", "surrogateescape")
            verb, _, rest = line.partition(" ")
            verb = verb.upper()
            session.commands.append(line if verb != "QUIT" else "QUIT")
            if verb == "LHLO" if self.is_lmtp else verb in ("EHLO", "HELO"):
                session.helo, transaction = rest, None
                lines = [self.name, *self._offers(session)] if verb != "HELO" else [self.name]
                usual = "\n".join([f"250-{text}" for text in lines[:-1]] + [f"250 {lines[-1]}"])
                await self._answer(writer, self._action("ehlo", session, None), usual)
            elif verb == "STARTTLS" and self._context_of(session):
                if await self._start_tls(session, stream, writer):
                    session.helo = transaction = None
            elif verb == "AUTH" and self._offers_auth(session):
                await self._authenticate(session, stream, writer, rest)
            elif verb == "MAIL" and self._users_of(session) is not None and session.user is None:
                await self._say(writer, "530 5.7.0 Authentication required")
            elif verb == "MAIL":
                address, arguments = _path(rest)
                transaction = Transaction(session, address, arguments)
                said = await self._answer(writer, self._action("mail", session, transaction), "250 2.1.0 Ok")
                if str(said)[:1] != "2":
                    transaction = None
                else:
                    session.transactions.append(transaction)
                    self.transactions.append(transaction)
            elif verb == "RCPT" and transaction:
                address, transaction.wishes[address] = _path(rest)
                said = await self._answer(writer, self._action("rcpt", session, transaction, address),
                                          "250 2.1.5 Ok")
                if str(said)[:1] == "2":
                    transaction.recipients.append(address)
                else:
                    transaction.refused.append((address, said))
            elif verb == "DATA" and transaction and transaction.recipients:
                if await self._data(session, stream, writer, transaction):
                    transaction = None
            elif verb == "BDAT" and "CHUNKING" in self.features:
                if await self._bdat(session, stream, writer, transaction, rest):
                    transaction = None
            elif verb == "RSET":
                transaction = None
                await self._answer(writer, self._action("rset", session, None), "250 2.0.0 Ok")
            elif verb == "NOOP":
                await self._say(writer, "250 2.0.0 Ok")
            elif verb == "QUIT":
                await self._answer(writer, self._action("quit", session, None), "221 2.0.0 Bye")
                return
            else:
                await self._say(writer, "503 5.5.1 Bad sequence or unknown command")

    # -- TLS and AUTH

    def _context_of(self, session):
        """None: no STARTTLS, now or for this host."""
        return None if session.tls else self._tls.get(session.host, self._tls.get(None))

    def _users_of(self, session):
        return self._users.get(session.host, self._users.get(None))

    def _offers_auth(self, session):
        return self._users_of(session) is not None and (session.tls or self.auth_without_tls)

    def _offers(self, session):
        more = ["STARTTLS"] if self._context_of(session) else []
        if self._offers_auth(session):
            more.append("AUTH " + " ".join(self.mechanisms))
        return self.features + more

    async def _start_tls(self, session, stream, writer):
        """True when the session is inside TLS now."""
        writer.transport.pause_reading()  # what comes next is for TLS
        said = await self._answer(writer, self._action("starttls", session, None), "220 2.0.0 Go ahead")
        if (said if isinstance(said, bytes) else said.encode())[:3] != b"220":
            writer.transport.resume_reading()
            return False
        await writer.drain()
        await self._shake(session, stream, writer)
        return True

    async def _shake(self, session, stream, writer):
        session.offers_ticket = await _offers_ticket(writer)
        action = self._action("handshake", session, None)
        if action is not None and (action.text is not None or action.drop):
            await self._answer(writer, action, "")
            writer.transport.resume_reading()
            await stream.rest()  # whoever waits for a handshake now waits for its own limit
        await self._hold(action) if action is not None else None
        context = self._context_of(session)
        context.sni_callback = lambda side, name, _: self._names.update({id(side): name})
        del stream.buffer[:]
        try:
            await writer.start_tls(context)
        except (ssl.SSLError, ConnectionError) as error:
            session.tls_error = str(error) or type(error).__name__
            raise
        stream.reader._transport = writer.transport  # 3.11 leaves the old one there
        inside = writer.get_extra_info("ssl_object")
        session.sni = self._names.pop(id(inside), None)
        session.tls = {"version": inside.version(), "cipher": inside.cipher()[0], "is_resumed": inside.session_reused}

    async def _authenticate(self, session, stream, writer, rest):
        async def ask(challenge):
            session.challenges += 1
            await self._answer(writer, self._action("challenge", session, None), f"334 {challenge}")
            answer = (await stream.line()).rstrip(b"\r\n").decode("ascii", "replace")
            session.commands.append(answer)
            return answer

        mechanism, _, initial = rest.partition(" ")
        usual = "235 2.7.0 Authenticated"
        try:
            if mechanism.upper() not in self.mechanisms:
                raise Refused("504 5.5.4 No such mechanism")
            session.user = await authenticate(mechanism.upper(), initial or None, self._users_of(session), ask)
            session.mechanism = mechanism.upper()
        except Refused as refused:
            usual = str(refused)
        said = await self._answer(writer, self._action("auth", session, None), usual)
        if str(said)[:1] != "2":
            session.user = None

    async def _bdat(self, session, stream, writer, transaction, rest):
        """One chunk: "body" rules act on each, "dot" rules on the last. True when the transaction is over."""
        size, _, last = rest.partition(" ")
        await stream.octets(int(size))
        octets = bytes(stream.buffer[:int(size)])
        del stream.buffer[:int(size)]
        if not transaction or not transaction.recipients:
            await self._say(writer, "503 5.5.1 Bad sequence")
            return False
        transaction.chunks.append(octets)
        if last.upper() != "LAST":
            await self._answer(writer, self._action("body", session, transaction), f"250 2.0.0 {size} octets")
            return False
        content = b"".join(transaction.chunks)
        await self._end(session, writer, transaction, (content[:self.keep], len(content), hashlib.sha256(content).hexdigest()))
        return True

    async def _data(self, session, stream, writer, transaction):
        """One DATA. False when it was refused."""
        said = await self._answer(writer, self._action("data", session, transaction), "354 Go ahead")
        if str(said)[:1] != "3":
            return False
        action = self._action("body", session, transaction)
        if action is not None:
            await stream.octets(action.after)
            await self._answer(writer, action, "") if action.drop else await self._hold(action)
        await self._end(session, writer, transaction, await stream.content(self.keep))
        return True

    async def _end(self, session, writer, transaction, content):
        """The dot, or the last chunk, has come."""
        transaction.dot_at = time.monotonic()
        transaction.note_content(*content)
        if self.is_lmtp:
            await self._end_each(session, writer, transaction)
            return
        action = self._action("dot", session, transaction)
        usual = "250 2.0.0 Ok"
        text = usual if action is None or action.text is None else action.text
        says_yes = text[:1] in ("2", b"2")
        # What a real MX has stored it has, whether its reply gets through or not.
        transaction.taken = action.taken if action is not None and action.taken is not None else says_yes
        transaction.reply = await self._answer(writer, action, usual)
        transaction.replied_at = time.monotonic()


    async def _end_each(self, session, writer, transaction):
        """LMTP: a reply to each recipient, in order (RFC 2033 section 4.2)."""
        replies = []
        for recipient in list(transaction.recipients):
            action = self._action("dot", session, transaction, recipient)
            usual = f"250 2.1.5 <{recipient}> Ok"
            text = usual if action is None or action.text is None else action.text
            is_taken = action.taken if action is not None and action.taken is not None else text[:1] in ("2", b"2")
            if is_taken:
                transaction.taken = True
            else:
                transaction.recipients.remove(recipient)
                transaction.refused.append((recipient, text))
            replies.append(await self._answer(writer, action, usual))
        transaction.reply = "\n".join(map(str, replies))
        transaction.replied_at = time.monotonic()


def _context(tls):
    if isinstance(tls, ssl.SSLContext):
        return tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls)
    return context


async def _offers_ticket(writer):
    """Looks at the client's hello, which stays where it is: has it a session to resume (RFC 5077, RFC 8446 section 4.2.11)?"""
    raw = writer.get_extra_info("socket")._sock
    for _ in range(400):
        try:
            hello = raw.recv(16384, socket.MSG_PEEK)
        except BlockingIOError:
            hello = b""
        if len(hello) >= 5 and len(hello) >= 5 + int.from_bytes(hello[3:5], "big"):
            return _has_ticket(hello)
        await asyncio.sleep(0.005)
    return False


def _has_ticket(hello):
    at = 9 + 2 + 32  # record, handshake, version, random
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 1 + hello[at]
    end = at + 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 2
    while at + 4 <= end:
        kind, size = int.from_bytes(hello[at:at + 2], "big"), int.from_bytes(hello[at + 2:at + 4], "big")
        if kind == 41 or (kind == 35 and size > 0):
            return True
        at += 4 + size
    return False


def _path(text):
    """("a@b", "SIZE=1 BODY=8BITMIME") of "FROM:<a@b> SIZE=1 BODY=8BITMIME"."""
    found = re.match(r'[A-Za-z]+:\s*<((?:"[^"]*"|[^>])*)>\s*(.*)$', text)
    return (found.group(1), found.group(2)) if found else (text, "")
