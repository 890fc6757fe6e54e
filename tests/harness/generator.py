"""
Load with a memory: messages with unique ledger ids, offered until somebody takes them, and what became of
every attempt.
"""

import asyncio
import base64
import collections
import hashlib
import random
import ssl
import threading
import time

from . import wait
from .door import door

# What became of an attempt. LOST and LATER after the dot are in doubt: the message may have been taken.
TAKEN, REFUSED, LATER, LOST = "taken", "refused", "later", "lost"


class _Finished(Exception):
    """There is nothing more to send."""


class Attempt:
    """
    One transaction. Times are monotonic; dot_at is None when no dot was sent; reply_at None when the dot's
    reply never came.
    """

    def __init__(self, number, address, recipients):
        self.number, self.address, self.recipients = number, address, list(recipients)
        self.began_at = time.monotonic()
        self.dot_at = self.reply_at = self.reply = self.outcome = None

    @property
    def in_doubt(self):
        """The dot was sent, and the answer to it was lost or temporary."""
        return self.dot_at is not None and self.outcome in (LATER, LOST)


class Item:
    """One message to be sent: its id, its recipients still without a final answer, its attempts."""

    def __init__(self, ledger_id, sender, recipients, content):
        self.ledger_id, self.sender, self.content = ledger_id, sender, content
        self.recipients, self.pending = list(recipients), list(recipients)
        self.attempts = []
        self.acknowledged = {}
        self.refused = {}
        self.may_retry_at = 0.0

    @property
    def is_done(self):
        return not self.pending

    def in_doubt(self, recipient):
        """How many attempts with this recipient are in doubt."""
        return sum(1 for attempt in self.attempts if attempt.in_doubt and recipient in attempt.recipients)


def noise(size, rng=random):
    """A body of so many octets, or a little less, that cannot be packed below three quarters of it."""
    return b"".join(base64.encodebytes(rng.randbytes(54)).rstrip() + b"\r\n" for _ in range(size // 74))


def content(ledger_id, sender, recipients, size=1024, body=None, is_bare=False):
    """
    A plain message that carries its id, and what its body must be: the one given, or lines of the same words, about `size` octets in all.
    is_bare: without Date and Message-ID.
    """
    if body is None:
        line = f"{ledger_id} 0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ ..\r\n".encode()
        body = line * max(1, (size - 350) // len(line))
    fields = [f"X-Ledger-Id: {ledger_id}", f"X-Ledger-Body: {hashlib.sha256(body).hexdigest()}", f"From: <{sender}>",
              f"To: <{recipients[0]}>", f"Subject: test {ledger_id}"]
    if not is_bare:
        fields += ["Date: Thu, 01 Jan 2026 00:00:00 +0000", f"Message-ID: <{ledger_id}@ledger.test>"]
    return "\r\n".join(fields + ["", ""]).encode() + body


class Generator:
    """
    addresses: [(host, port) or Door] of ingresses; a session picks one at random, another after a failure, or, if it
    roams, for each connection. make(n) -> (sender, recipients) or (sender, recipients, content). sessions: how
    many transactions are open at once.
    rate: new messages a second, None for as fast as it goes. limit: how many messages, None until stop().
    linger: longest random wait before each step (seconds), which spreads the sessions over all stages.
    reply_timeout: a reply not there by then counts as lost. is_binary: content goes by BDAT, as BODY=BINARYMIME.
    chunked: share of the transactions whose content goes by BDAT, in random pieces. has_wishes: MAIL and RCPT have
    DSN parameters, some SMTPUTF8, that change nothing for the ledger. spoken(recipient) -> the address that is said
    for it: an alias, of several recipients maybe, who share its answers.
    host: of network.py, where the clients are.
    replies: {(verb, code): how many}; longest: {verb: seconds that its slowest reply took}. Before EHLO the verb is "".
    """

    def __init__(self, addresses, make, sessions=10, rate=None, limit=None, linger=0.0, per_connection=20,
                 size=1024, reply_timeout=30.0, retry_after=0.2, prefix=None, seed=None,
                 roams=False, is_binary=False, chunked=0.0, has_wishes=False, spoken=None, host=None):
        self.host = host
        self.doors, self.make = [door(address) for address in addresses], make
        self.sessions, self.rate, self.limit, self.linger = sessions, rate, limit, linger
        self.per_connection, self.size = per_connection, size
        self.reply_timeout, self.retry_after, self.roams = reply_timeout, retry_after, roams
        self.is_binary, self.chunked, self.has_wishes = is_binary, 1.0 if is_binary else chunked, has_wishes
        self.spoken = spoken or (lambda recipient: recipient)
        self.replies, self.longest = collections.Counter(), collections.defaultdict(float)
        self.random = random.Random(seed)
        self.prefix = prefix if prefix is not None else f"{self.random.getrandbits(32):08x}"
        self.items = []
        self.open_now = 0
        self._retry = []
        self._made = 0
        self._began = None
        self._stopping = self._abandon = False
        self._thread = None
        self._failure = None

    # -- from the test's threads

    def start(self):
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True, name="generator")
        self._thread.start()
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self._stopping = True
        self._abandon = True
        self._thread.join(30)

    def stop(self, timeout=120):
        """No new messages; waits until each that was begun has its final answer."""
        self._stopping = True
        self.wait_done(timeout)

    def wait_done(self, timeout=300):
        """Waits for the end of all messages (with a limit, or after stop())."""
        def tell():
            still_open = sum(1 for item in list(self.items) if not item.is_done)
            return f"the generator's end; {still_open} of {len(self.items)} messages are open"

        wait.until(lambda: not self._thread.is_alive(), timeout, tell)
        if self._failure:
            raise self._failure

    def acknowledged(self):
        """{(ledger id, recipient)} that some attempt was answered 250 for."""
        return {(item.ledger_id, recipient) for item in list(self.items)
                for recipient in list(item.acknowledged)}

    def wait_acknowledged(self, count, timeout=60):
        wait.until(lambda: len(self.acknowledged()) >= count, timeout,
                   lambda: f"{count} recipients acknowledged, there are {len(self.acknowledged())}")

    def summary(self):
        attempts = [attempt for item in self.items for attempt in item.attempts]
        outcomes = {name: sum(1 for a in attempts if a.outcome == name)
                    for name in (TAKEN, REFUSED, LATER, LOST)}
        return (f"{len(self.items)} messages, {len(attempts)} attempts: "
                + ", ".join(f"{n} {k}" for k, n in outcomes.items())
                + f", {sum(1 for a in attempts if a.in_doubt)} in doubt")

    # -- on the generator's thread

    def _run(self):
        try:
            if self.host:
                self.host.enter()
            asyncio.run(self._serve())
        except BaseException as failure:  # told to the test by wait_done()
            self._failure = failure

    async def _serve(self):
        await asyncio.gather(*[self._session() for _ in range(self.sessions)])

    def _next_item(self):
        """An item to work on, None when there is none now; _Finished when there will be none."""
        now = time.monotonic()
        for place, item in enumerate(self._retry):
            if item.may_retry_at <= now:
                return self._retry.pop(place)
        exhausted = self._stopping or (self.limit is not None and self._made >= self.limit)
        if exhausted:
            if self._abandon or (not self._retry and self.open_now == 0):
                raise _Finished
            return None
        if self.rate is not None and self._made > (now - self._began) * self.rate:
            return None
        number = self._made
        self._made += 1
        made = self.make(number)
        ledger_id = f"{self.prefix}-{number}"
        text = made[2] if len(made) > 2 else content(ledger_id, made[0], made[1], self.size)
        item = Item(ledger_id, made[0], made[1], text)
        self.items.append(item)
        return item

    async def _session(self):
        way = self.random.choice(self.doors)
        while True:
            try:
                item = self._next_item()
            except _Finished:
                return
            if item is None:
                await asyncio.sleep(0.01)
                continue
            connection = _Connection(self, way)
            try:
                await self._work(connection, item)
            finally:
                connection.close()
            if connection.failed or self.roams:
                way = self.random.choice(self.doors)

    async def _work(self, connection, item):
        """Sends the item, and further ones while the connection holds."""
        for left in reversed(range(self.per_connection)):
            self.open_now += 1
            try:
                await self._attempt(connection, item)
            finally:
                if not item.is_done:
                    item.may_retry_at = time.monotonic() + self.retry_after * self.random.uniform(0.5, 1.5)
                    self._retry.append(item)
                self.open_now -= 1
            if connection.failed or left == 0:
                return
            try:
                item = self._next_item()
            except _Finished:
                return
            if item is None:
                return

    async def _attempt(self, connection, item):
        attempt = Attempt(len(item.attempts), connection.address, item.pending)
        item.attempts.append(attempt)
        try:
            await connection.transaction(attempt, item)
        except (OSError, EOFError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError, ssl.SSLError):
            connection.failed = True
            attempt.outcome = LOST


class _Connection:
    def __init__(self, generator, way):
        self.generator, self.door, self.address = generator, way, way.address
        self.random = generator.random
        self.reader = self.writer = None
        self.failed = False

    def close(self):
        if self.writer:
            if self.failed:
                self.writer.transport.abort()
            else:
                self.writer.write(b"QUIT\r\n")
                self.writer.close()

    async def _linger(self):
        if self.generator.linger:
            await asyncio.sleep(self.random.uniform(0, self.generator.linger))

    async def _reply(self, verb):
        """(code, text) of one reply."""
        text, began = [], time.monotonic()
        while True:
            line = await asyncio.wait_for(self.reader.readline(), self.generator.reply_timeout)
            if not line.endswith(b"\n"):
                raise EOFError("closed")
            text.append(line.decode("utf-8", "replace").rstrip())
            if line[3:4] != b"-":
                break
        code = int(line[:3])
        self.generator.replies[verb, code] += 1
        self.generator.longest[verb] = max(self.generator.longest[verb], time.monotonic() - began)
        return code, "\n".join(text)

    async def _command(self, text, verb=None):
        await self._linger()
        self.writer.write(text.encode() + b"\r\n")
        return await self._reply(verb or text.partition(" ")[0])

    async def _greet(self):
        self.reader, self.writer = await asyncio.wait_for(self.door.connect(), self.generator.reply_timeout)
        code, text = await self._reply("")
        if code == 220:
            code, text = await asyncio.wait_for(self.door.enter(self.writer, self._command), 4 * self.generator.reply_timeout)
        return code, text

    def _settle(self, attempt, item, recipients, code, text):
        """A final or temporary answer for these recipients."""
        for recipient in recipients:
            if code // 100 == 2:
                item.acknowledged[recipient] = time.monotonic()
            elif code // 100 == 5:
                item.refused[recipient] = text
            else:
                continue
            item.pending.remove(recipient)
        attempt.outcome = {2: TAKEN, 5: REFUSED}.get(code // 100, LATER)
        attempt.reply = text
        if code == 421:
            self.failed = True

    # -- a transaction

    async def transaction(self, attempt, item):
        if self.reader is None:
            code, text = await self._greet()
            if code // 100 != 2:
                self.failed = True
                attempt.outcome, attempt.reply = LATER, text
                return
        code, text = await self._command(f"MAIL FROM:<{item.sender}>" + self._wishes_of_mail(item))
        if code != 250:
            self._settle(attempt, item, list(attempt.recipients), code, text)
            return
        attempt.recipients = await self._name_recipients(attempt, item)
        if self.failed:
            return
        if not attempt.recipients:
            await self._command("RSET")
            return
        is_chunked = self.random.random() < self.generator.chunked
        code, text = await (self._send_chunks(attempt, item.content) if is_chunked else self._send_data(attempt, item.content))
        self._settle(attempt, item, attempt.recipients, code, text)
        if attempt.dot_at is not None:
            attempt.reply_at = time.monotonic()
        elif not self.failed:
            await self._command("RSET")

    async def _name_recipients(self, attempt, item):
        """Those that were taken. A session that is told 421 has failed."""
        accepted, said = [], {}
        for recipient in attempt.recipients:
            said.setdefault(self.generator.spoken(recipient), []).append(recipient)
        for address, recipients in said.items():
            code, text = await self._command(f"RCPT TO:<{address}>" + self._wishes_of_recipient(address))
            if code in (250, 251):
                accepted += recipients
            else:
                self._settle(attempt, item, recipients, code, text)
            if self.failed:
                break
        return accepted

    def _wishes_of_mail(self, item):
        said = [" BODY=BINARYMIME"] if self.generator.is_binary else []
        if self.generator.has_wishes:
            said += self.random.sample([" RET=HDRS", f" ENVID={item.ledger_id}", " SMTPUTF8", f" SIZE={len(item.content)}"], self.random.randrange(4))
        return "".join(said)

    def _wishes_of_recipient(self, address):
        said = [" NOTIFY=FAILURE", f" ORCPT=rfc822;{address}"]
        return "".join(said[:self.random.randrange(3)]) if self.generator.has_wishes else ""

    async def _write(self, octets):
        """Dribbles, where the sessions are to be spread over all stages."""
        self.writer.write(octets)
        if self.generator.linger:
            await self.writer.drain()
            await self._linger()

    async def _send_data(self, attempt, text):
        """The reply that decides; attempt.dot_at is set from when the message may have been taken."""
        reply = await self._command("DATA")
        if reply[0] != 354:
            return reply
        await self._linger()
        stuffed = text.replace(b"\r\n.", b"\r\n..")
        await self._write(b"." + stuffed if stuffed.startswith(b".") else stuffed)
        attempt.dot_at = time.monotonic()
        self.writer.write(b".\r\n")
        await self.writer.drain()
        return await self._reply(".")

    async def _send_chunks(self, attempt, text):
        """As _send_data(). Pieces at random, the last one maybe empty; now and then they do not wait for each other's replies."""
        cuts = sorted(self.random.choices(range(len(text) + 1), k=self.random.randrange(4)))
        pieces = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)])]
        waits = self.random.random() < 0.7
        refusal = None
        for piece in pieces[:-1]:
            await self._write(b"BDAT %d\r\n" % len(piece) + piece)
            if waits:
                reply = await self._reply("BDAT")
                if reply[0] != 250:
                    return reply
        attempt.dot_at = time.monotonic()
        self.writer.write(b"BDAT %d LAST\r\n" % len(pieces[-1]) + pieces[-1])
        await self.writer.drain()
        for _ in pieces[:-1] if not waits else ():
            reply = await self._reply("BDAT")
            refusal = refusal or (reply if reply[0] != 250 else None)
            if reply[0] == 421:
                return reply
        reply = await self._reply("LAST")
        return refusal or reply
