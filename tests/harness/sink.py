"""
A scripted SMTP sink: keeps every message byte for byte, notes when each dot came and was answered, and
misbehaves as told.
"""

import asyncio
import hashlib
import re
import threading
import time

from . import ports, wait

STAGES = ("connect", "ehlo", "mail", "rcpt", "data", "body", "dot", "rset", "quit")
DEFAULT_FEATURES = ("PIPELINING", "SIZE 104857600", "8BITMIME", "ENHANCEDSTATUSCODES")
LEDGER_HEADER = b"x-ledger-id:"
BODY_HEADER = b"x-ledger-body:"
_RECEIVED_ID = re.compile(rb"\sid\s+<?([0-9A-Za-z]{16,40})")


class Action:
    """What happens at a stage instead of the usual reply. Made by the functions below."""

    def __init__(self, text=None, drop=False, hold=None, pieces=0, taken=None, after=0):
        self.text, self.drop, self.hold, self.pieces = text, drop, hold, pieces
        self.taken, self.after = taken, after


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
    """One connection: when it opened and closed (monotonic seconds), what it said."""

    def __init__(self, host, peer):
        self.host, self.peer = host, peer
        self.opened_at, self.closed_at = time.monotonic(), None
        self.helo = None
        self.commands = []
        self.transactions = []


class Transaction:
    """
    One MAIL. `taken`: the sink has it (a copy was delivered). dot_at: the dot was read; replied_at: its reply
    was written, None while open and for good when the connection was dropped instead. Times are monotonic.
    is_whole: False when the body is not the one whose SHA-256 stands in its header, None when that is not known.
    """

    def __init__(self, session, sender, arguments):
        self.session, self.sender, self.arguments = session, sender, arguments
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
    def __init__(self, reader):
        self.reader, self.buffer = reader, bytearray()

    async def _more(self):
        piece = await self.reader.read(1 << 18)
        if not piece:
            raise ConnectionResetError("closed")
        self.buffer += piece

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


class ScriptedSink:
    """
    Listens on `port` of each of `hosts`. keep: how much of each content is kept, beside its size and digest.
    rule(...) adds a Rule, the first that matches acts. `.transactions` holds every MAIL, `.copies()` what was
    taken.
    """

    def __init__(self, hosts=("127.0.0.1",), port=None, features=DEFAULT_FEATURES, keep=1 << 30,
                 name="sink.test"):
        self.hosts, self.port = list(hosts), port or ports.free_port()
        self.features, self.keep, self.name = list(features), keep, name
        self.rules, self.sessions, self.transactions = [], [], []
        self._loop = self._thread = None
        self._tasks = set()

    # -- from the test's threads

    def start(self):
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True, name=self.name)
        self._thread.start()
        if not started.wait(10) or self._loop is None:
            raise OSError(f"the sink cannot listen on port {self.port} of {self.hosts}")
        return self

    def stop(self):
        if self._thread and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(10)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def rule(self, stage, action, **where):
        added = Rule(stage, action, **where)
        self.rules.append(added)
        return added

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

    def _run(self, started):
        asyncio.run(self._serve(started))

    async def _serve(self, started):
        self._stopped = asyncio.Event()
        servers = []
        try:
            for host in self.hosts:
                servers.append(await asyncio.start_server(
                    lambda r, w, host=host: self._accept(host, r, w), host, self.port, backlog=1000))
            self._loop = asyncio.get_running_loop()
        finally:
            started.set()
        await self._stopped.wait()
        for server in servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, host, reader, writer):
        self._tasks.add(asyncio.current_task())
        session = Session(host, writer.get_extra_info("peername"))
        self.sessions.append(session)
        try:
            await self._converse(session, _Stream(reader), writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass
        finally:
            session.closed_at = time.monotonic()
            writer.transport.abort() if session.commands[-1:] != ["QUIT"] else writer.close()
            self._tasks.discard(asyncio.current_task())

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
        if action.drop and action.text is None:
            raise ConnectionAbortedError
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
        await self._answer(writer, self._action("connect", session, None), f"220 {self.name} ESMTP")
        transaction = None
        while True:
            line = (await stream.line()).rstrip(b"\r\n").decode("utf-8", "surrogateescape")
            verb, _, rest = line.partition(" ")
            verb = verb.upper()
            session.commands.append(line if verb != "QUIT" else "QUIT")
            if verb in ("EHLO", "HELO"):
                session.helo, transaction = rest, None
                lines = [self.name, *self.features] if verb == "EHLO" else [self.name]
                usual = "\n".join([f"250-{text}" for text in lines[:-1]] + [f"250 {lines[-1]}"])
                await self._answer(writer, self._action("ehlo", session, None), usual)
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
        action = self._action("dot", session, transaction)
        usual = "250 2.0.0 Ok"
        text = usual if action is None or action.text is None else action.text
        says_yes = text[:1] in ("2", b"2")
        # What a real MX has stored it has, whether its reply gets through or not.
        transaction.taken = action.taken if action is not None and action.taken is not None else says_yes
        transaction.reply = await self._answer(writer, action, usual)
        transaction.replied_at = time.monotonic()


def _path(text):
    """("a@b", "SIZE=1 BODY=8BITMIME") of "FROM:<a@b> SIZE=1 BODY=8BITMIME"."""
    found = re.match(r'[A-Za-z]+:\s*<((?:"[^"]*"|[^>])*)>\s*(.*)$', text)
    return (found.group(1), found.group(2)) if found else (text, "")
