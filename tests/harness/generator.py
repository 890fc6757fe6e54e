"""
Load with a memory: messages with unique ledger ids, offered until somebody takes them, and what became of
every attempt.
"""

import asyncio
import base64
import hashlib
import random
import threading
import time

from . import wait

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


def content(ledger_id, sender, recipients, size=1024, body=None):
    """A plain message that carries its id, and what its body must be: the one given, or lines of the same words, about `size` octets in all."""
    if body is None:
        line = f"{ledger_id} 0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ ..\r\n".encode()
        body = line * max(1, (size - 350) // len(line))
    head = "\r\n".join([
        f"X-Ledger-Id: {ledger_id}", f"X-Ledger-Body: {hashlib.sha256(body).hexdigest()}", f"From: <{sender}>",
        f"To: <{recipients[0]}>", f"Subject: test {ledger_id}",
        "Date: Thu, 01 Jan 2026 00:00:00 +0000", f"Message-ID: <{ledger_id}@ledger.test>", "", ""]).encode()
    return head + body


class Generator:
    """
    addresses: [(host, port)] of ingresses; a session picks one at random, another after a failure, or, if it
    roams, for each connection. make(n) -> (sender, recipients) or (sender, recipients, content). sessions: how
    many transactions are open at once.
    rate: new messages a second, None for as fast as it goes. limit: how many messages, None until stop().
    linger: longest random wait before each step (seconds), which spreads the sessions over all stages.
    reply_timeout: a reply not there by then counts as lost. is_binary: content goes by BDAT, as BODY=BINARYMIME.
    """

    def __init__(self, addresses, make, sessions=10, rate=None, limit=None, linger=0.0, per_connection=20,
                 size=1024, reply_timeout=30.0, retry_after=0.2, prefix=None, seed=None,
                 roams=False, is_binary=False):
        self.addresses, self.make = list(addresses), make
        self.sessions, self.rate, self.limit, self.linger = sessions, rate, limit, linger
        self.per_connection, self.size = per_connection, size
        self.reply_timeout, self.retry_after, self.roams = reply_timeout, retry_after, roams
        self.is_binary = is_binary
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
        address = self.random.choice(self.addresses)
        while True:
            try:
                item = self._next_item()
            except _Finished:
                return
            if item is None:
                await asyncio.sleep(0.01)
                continue
            connection = _Connection(self, address)
            try:
                await self._work(connection, item)
            finally:
                connection.close()
            if connection.failed or self.roams:
                address = self.random.choice(self.addresses)

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
        except (OSError, EOFError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError):
            connection.failed = True
            attempt.outcome = LOST


class _Connection:
    def __init__(self, generator, address):
        self.generator, self.address = generator, address
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
            await asyncio.sleep(self.generator.random.uniform(0, self.generator.linger))

    async def _reply(self):
        """(code, text) of one reply."""
        text = []
        while True:
            line = await asyncio.wait_for(self.reader.readline(), self.generator.reply_timeout)
            if not line.endswith(b"\n"):
                raise EOFError("closed")
            text.append(line.decode("utf-8", "replace").rstrip())
            if line[3:4] != b"-":
                return int(line[:3]), "\n".join(text)

    async def _command(self, text):
        await self._linger()
        self.writer.write(text.encode() + b"\r\n")
        return await self._reply()

    async def _greet(self):
        self.reader, self.writer = await asyncio.wait_for(
            asyncio.open_connection(*self.address), self.generator.reply_timeout)
        code, text = await self._reply()
        if code == 220:
            code, text = await self._command("EHLO generator.test")
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

    async def transaction(self, attempt, item):
        if self.reader is None:
            code, text = await self._greet()
            if code != 250:
                self.failed = True
                attempt.outcome, attempt.reply = LATER, text
                return
        is_binary = self.generator.is_binary
        code, text = await self._command(f"MAIL FROM:<{item.sender}>" + (" BODY=BINARYMIME" if is_binary else ""))
        if code != 250:
            self._settle(attempt, item, list(attempt.recipients), code, text)
            return
        accepted = []
        for recipient in list(attempt.recipients):
            code, text = await self._command(f"RCPT TO:<{recipient}>")
            if code in (250, 251):
                accepted.append(recipient)
            else:
                self._settle(attempt, item, [recipient], code, text)
                if self.failed:
                    return
        attempt.recipients = accepted
        if not accepted:
            await self._command("RSET")
            return
        code, text = (354, "") if is_binary else await self._command("DATA")
        if code != 354:
            self._settle(attempt, item, accepted, code, text)
            if not self.failed:
                await self._command("RSET")
            return
        await self._linger()
        stuffed = item.content.replace(b"\r\n.", b"\r\n..")
        if is_binary:
            self.writer.write(f"BDAT {len(item.content)}\r\n".encode() + item.content)
            code, text = await self._reply()
            if code != 250:
                self._settle(attempt, item, accepted, code, text)
                if not self.failed:
                    await self._command("RSET")
                return
        else:
            self.writer.write(b"." + stuffed if stuffed.startswith(b".") else stuffed)
        if self.generator.linger:
            await self.writer.drain()
            await self._linger()
        attempt.dot_at = time.monotonic()
        self.writer.write(b"BDAT 0 LAST\r\n" if is_binary else b".\r\n")
        await self.writer.drain()
        code, text = await self._reply()
        attempt.reply_at = time.monotonic()
        self._settle(attempt, item, accepted, code, text)
