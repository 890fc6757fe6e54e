"""aiosmtpd, a server that none of us wrote, with faults in what it calls: mail arrives, waits or comes back, as replies say, and nothing is lost."""

import hashlib
import ssl
import time

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult
from post import Post

from harness import ports, wait
from harness.authority import Authority
from harness.cluster import Cluster
from harness.ledger import Ledger
from harness.sink import ScriptedSink, Session, Transaction

HOME = "127.0.0.9"
IDLE_S = 1  # after which a server hangs up


class Server(Controller):
    """One aiosmtpd on an address of its own. on_rcpt(address), on_data(server, envelope): its handler's, None: as usual."""

    def __init__(self, host, protocol=SMTP, on_rcpt=None, on_data=None, is_right=lambda user: True, **more):
        super().__init__(self, hostname=host, port=ports.free_port(), authenticator=self.authenticate, **more)
        self.protocol, self.on_rcpt, self.on_data, self.is_right = protocol, on_rcpt, on_data, is_right
        self.transactions, self.logins = [], []

    def factory(self):
        return self.protocol(self.handler, **self.SMTP_kwargs)

    def authenticate(self, server, session, envelope, mechanism, data):
        self.logins.append((mechanism, bool(session.ssl)))
        return AuthResult(success=self.is_right(data.login), handled=False)

    async def handle_RCPT(self, server, session, envelope, address, options):
        said = self.on_rcpt(address) if self.on_rcpt else None
        if said:
            return said
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server, session, envelope):
        known = Session(self.hostname, session.peer)
        known.helo, known.tls = session.host_name, bool(session.ssl)
        transaction = Transaction(known, envelope.mail_from, envelope.mail_options)
        transaction.recipients = list(envelope.rcpt_tos)
        content = envelope.original_content
        transaction.note_content(content, len(content), hashlib.sha256(content).hexdigest())
        transaction.dot_at, transaction.taken, transaction.reply = time.monotonic(), True, "250 2.0.0 Ok"
        self.transactions.append(transaction)
        said = self.on_data(server, transaction) if self.on_data else None
        transaction.replied_at = time.monotonic() if said is None or said[:1] == "2" else None
        transaction.taken = said is None or transaction.taken
        return said or "250 2.0.0 Ok"

    def taken(self):
        return [transaction for transaction in list(self.transactions) if transaction.taken]


def once(first, then=lambda *_: None):
    """One action at the first call, another one at all others."""
    actions = iter([first])
    return lambda *arguments: next(actions, then)(*arguments)


def crash(*_):
    raise RuntimeError("a fault of its own")


def hang_up(server, _):
    """It has the message, and nobody hears of it."""
    server.transport.abort()
    return "451 nobody hears this"


def answer_one(server, transaction):
    """A mail store that ends behind its first answer."""
    server.transport.write(f"250 2.1.5 {transaction.recipients[0]}\r\n".encode())
    server.transport.close()
    return "451 nobody hears this"


def answer_each(_, transaction):
    return "\r\n".join(f"250 2.1.5 {recipient}" for recipient in transaction.recipients)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    authority = Authority(str(tmp_path_factory.mktemp("authority")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("python.test"))
    right = []
    servers = {
        "crash": Server("127.0.1.1", on_rcpt=lambda address: crash() if address.startswith("bad") else None),
        "data": Server("127.0.1.2", on_data=once(crash)),
        "lost": Server("127.0.1.3", on_data=once(hang_up)),
        "idle": Server("127.0.1.4", timeout=IDLE_S),
        "login": Server("127.0.1.5", is_right=lambda user: bool(right), tls_context=context, require_starttls=True, auth_required=True),
        "store": Server("127.0.1.6", protocol=LMTP, on_data=answer_each),
        "torn": Server("127.0.1.7", protocol=LMTP, on_data=once(answer_one, answer_each))}
    with ScriptedSink([HOME]) as home:
        for server in servers.values():
            server.start()
        addresses = {name: f"{server.hostname}:{server.port}" for name, server in servers.items()}
        transports = {
            "login": {"hosts": [addresses["login"]], "tls": "verify python.test", "user": "ann", "password": "secret"},
            **{name: {"protocol": "lmtp", "hosts": [addresses[name]]} for name in ("store", "torn")}}
        routes = {"origin.test": f"{HOME}:{home.port}", **{f"{name}.test": name if name in transports else address for name, address in addresses.items()}}
        settings = {"courier": {"routes": routes, "idle_time": "10s"}, "transports": transports, "tls_out": {"ca": authority.ca}}
        try:
            with Cluster(settings=settings) as cluster:
                post = Post(cluster, home)
                post.servers, post.right = servers, right
                yield post
                cluster.wait_empty()
                Ledger([post], [home, *servers.values()], cluster.faults).assert_balanced()
        finally:
            for server in servers.values():
                server.stop()


def copies(scene, letter, recipient=None):
    return [transaction for server in scene.servers.values() for transaction in server.taken()
            if transaction.ledger_id == letter.ledger_id and recipient in (None, *transaction.recipients)]


# proves: H05 H06
def test_a_recipient_that_crashes_it_is_returned_alone(scene):
    letter = scene.send(["good@crash.test", "bad@crash.test"])
    report = scene.wait_returned(letter)
    assert report.recipients == ["bad@crash.test"] and "a fault of its own" in report.of("bad@crash.test")["Diagnostic-Code"]
    scene.wait_settled(letter)
    assert len(copies(scene, letter, "good@crash.test")) == 1


# proves: H13 A05
def test_a_reply_that_it_never_gave_is_a_doubt(scene):
    letter = scene.send("r@lost.test")
    scene.wait_settled(letter)
    assert len(copies(scene, letter)) == 2 and scene.told(letter, "in_doubt") and scene.told(letter, "bounced") == []


# proves: H15
def test_a_connection_that_it_gave_up_while_idle_is_nobodys_failure(scene):
    for _ in range(3):
        letter = scene.send("r@idle.test")
        assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1" and scene.told(letter, "deferred") == []
        wait.until(lambda: scene.cluster.metric("barid_connections") == 0, 10, "the end of its patience")


# proves: H20 L03
def test_a_login_that_it_refuses_is_no_failure_of_the_mail(scene):
    letter = scene.send("r@login.test")
    assert scene.wait_told(letter, "deferred")[0]["status"] == "4.7.8"
    scene.right.append(True)
    assert scene.wait_told(letter, "delivered")[0]["proof"] == "name"
    assert scene.told(letter, "bounced") == []
    assert all(is_inside for _, is_inside in scene.servers["login"].logins)


# proves: H05
def test_its_mail_store_answers_for_each(scene):
    people = [f"r{n}@store.test" for n in range(3)]
    letter = scene.send(people)
    scene.wait_settled(letter)
    assert [line["to"] for line in scene.told(letter, "delivered")] == people and len(copies(scene, letter)) == 1


# proves: H13
def test_its_mail_store_ends_behind_the_first_answer(scene):
    people = [f"r{n}@torn.test" for n in range(3)]
    letter = scene.send(people)
    scene.wait_settled(letter)
    assert sorted(line["to"] for line in scene.told(letter, "in_doubt")) == people[1:]
    assert [len(copies(scene, letter, one)) for one in people] == [1, 2, 2]
