"""Faults found by review: each of these left mail undelivered for long or for good, or tried one host without end."""

import contextlib
import smtplib
import time

from post import Places, Post
from raw_host import RawHost

from harness import wait
from harness.cluster import Cluster
from harness.generator import TAKEN, Attempt
from harness.sink import Gate, ScriptedSink, reply, stall


@contextlib.contextmanager
def scene(settings=None, **cluster_options):
    places = Places(6)
    with ScriptedSink(places.hosts()) as sink:
        more = {"courier": {"port": sink.port, "routes": places.routes(sink.port)}, **(settings or {})}
        with Cluster(settings=more, **cluster_options) as cluster:
            post = Post(cluster, sink)
            post.places = places
            yield post
            post.assert_balanced()


def make_due(redis, name):
    """A waiting job of #fanout, due now."""
    key = next(key for key in redis.scan_iter("q:*:#fanout") if redis.zscore(key, name) is not None)
    redis.zadd(key, {name: 1})
    redis.zadd(key.replace("q:", "d:", 1)[:-len(":#fanout")], {"#fanout": 1})


# proves: A01
def test_content_stays_while_nobody_can_say_who_reads_it():
    with scene({"ingress": {"compression": "none"}}) as post:  # packed it would be small enough to be copied
        redis = post.cluster.redis.client(decode_responses=True)
        one, two = post.places.take(), post.places.take()
        later = post.sink.rule("rcpt", reply("451 4.2.1 later"))
        letter = post.send([one.address(), two.address()], body=b"x" * 70 + b"\r\n" * 2 + (b"y" * 70 + b"\r\n") * 2500)
        parent = letter.message_id + ".0"
        post.wait_told(letter, "expanded")
        wait.until(lambda: any(redis.zscore(key, parent) for key in redis.scan_iter("q:*:#fanout")), 10, "the parent waits for its readers")
        redis.execute_command("ACL SETUSER default -exists")
        try:
            make_due(redis, parent)
            post.cluster.wait_log("courier", "NOPERM")
            wait.until(lambda: not any(redis.zscore(key, parent) for key in redis.scan_iter("c:*")), 10, "the parent settled")
        finally:
            redis.execute_command("ACL SETUSER default +exists")
        post.sink.clear(later)
        for recipient in letter.recipients:
            assert post.wait_delivered(letter, recipient).content.endswith(letter.content)
        make_due(redis, parent)


def begin(post, letter):
    """A client that may send content."""
    client = smtplib.SMTP(*post.cluster.addresses[0], timeout=60)
    client.ehlo("client.test")
    client.mail(letter.sender)
    for recipient in letter.recipients:
        client.rcpt(recipient)
    assert client.docmd("DATA")[0] == 354
    return client


def finish(client, letter, sent):
    """Sends the rest and the dot; the message is taken."""
    attempt = Attempt(0, None, letter.recipients)
    letter.attempts.append(attempt)
    letter.sent_at = attempt.dot_at = time.monotonic()
    client.sock.sendall(letter.content[sent:] + b".\r\n")
    code, text = client.getreply()
    assert code == 250, text
    attempt.outcome = TAKEN
    letter.message_id = text.decode().rpartition(" ")[2]
    for recipient in letter.recipients:
        letter.acknowledged[recipient] = time.monotonic()
    letter.pending.clear()
    client.quit()


# proves: A01
def test_content_written_early_for_slow_clients_is_delivered_whole():
    with scene({"ingress": {"threads": 1, "max_unstored": "1MiB"}}) as post:
        place, other = post.places.take(), post.places.take()
        body = b"".join(b"%05d " % n + b"z" * 60 + b"\r\n" for n in range(2000))
        letters = [post.letter([place.address(f"r{n}")] + [other.address(f"r{n}")] * (n % 2), body=body) for n in range(12)]
        clients = []
        for letter in letters:
            clients.append(begin(post, letter))
            clients[-1].sock.sendall(letter.content[:120000])
        redis = post.cluster.redis.client()
        wait.until(lambda: next(redis.scan_iter("b:*"), None), 10, "a chunk written early")
        for client, letter in zip(clients, letters):
            finish(client, letter, 120000)
        for letter in letters:
            for recipient in letter.recipients:
                assert post.wait_delivered(letter, recipient).content.endswith(letter.content)
        make_all_parents_due(redis)


def make_all_parents_due(redis):
    for key in list(redis.scan_iter("q:*:#fanout")):
        for job in redis.zrange(key, 0, -1):
            redis.zadd(key, {job: 1})
        redis.zadd(key.replace(b"q:", b"d:", 1)[:-len(b":#fanout")], {"#fanout": 1})


# proves: A01
def test_a_deleted_message_makes_no_more_jobs_and_leaves_no_content():
    with scene() as post:
        redis = post.cluster.redis.client(decode_responses=True)
        courier = post.cluster.kill("courier")
        letter = post.send([place.address() for place in post.places.all], body=(b"y" * 70 + b"\r\n") * 2000)
        record, = redis.scan_iter("j:*")
        redis.hset(record, mapping={"f": "delete", "y": int(time.time() * 1000)})  # what `delete` does to a parent that was claimed before
        post.cluster.restart(courier)
        wait.until(lambda: not list(redis.scan_iter("j:*")), 30, "the end of the message")
        assert list(redis.scan_iter("b:*")) == [] and post.copies(letter) == []
        post.dropped.update((letter.ledger_id, recipient) for recipient in letter.recipients)


def test_many_small_messages_under_way_do_not_hold_the_room_all_wait_for():
    with scene({"ingress": {"threads": 1, "max_unstored": "1MiB"}}) as post:
        place = post.places.take()
        letters = [post.letter(place.address(f"r{n}"), body=(b"s" * 70 + b"\r\n") * 180) for n in range(100)]
        clients = [begin(post, letter) for letter in letters]
        for client, letter in zip(clients, letters):
            client.sock.sendall(letter.content[:12000])
        post.cluster.wait_metric("barid_unstored_bytes", 1 << 20, "ingress")
        for client, letter in zip(clients, letters):
            finish(client, letter, 12000)
        for letter in letters:
            post.wait_delivered(letter)


# proves: H09
def test_a_host_that_gives_up_in_mid_content_harms_nobody():
    said = []

    def serve(connection, _):
        connection.sendall(b"220 x\r\n")
        for answer in (b"250 x\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            connection.recv(1000)
            connection.sendall(answer)
        left, tail = 10000 * (1 + len(said) % 100), b""
        while left > 0 or len(said) >= 200:
            piece = connection.recv(1 << 16)
            left, tail = left - len(piece), (tail + piece)[-5:]
            if not piece:
                return
            if tail == b"\r\n.\r\n":
                connection.sendall(b"250 2.0.0 Ok\r\n")
                return
        said.append(None)
        connection.sendall(b"421 4.3.2 bye\r\n")
        while connection.recv(1 << 16):
            pass

    with scene({"retry": {"first": "100ms", "longest": "200ms"}}) as post:
        place = post.places.take()
        post.cluster.write_settings({"courier": {"routes": {"up.test": f"127.0.6.77:{post.sink.port}"}}})
        post.cluster.reload()
        with RawHost("127.0.6.77", post.sink.port, serve):
            for n in range(8):
                post.dropped.add((post.send(f"r{n}@up.test", body=(b"z" * 70 + b"\r\n") * 20000).ledger_id, f"r{n}@up.test"))
            wait.until(lambda: len(said) >= 200, 60, "421 said 200 times")
            post.wait_delivered(post.send(place.address()))
            assert all(node.process.alive() for node in post.cluster.nodes)
            post.cluster.wait_empty()


# proves: H08
def test_one_recipient_at_a_time_and_none_taken_is_tried_once_each():
    with scene({"retry": {"first": "6s", "longest": "6s"}}) as post:
        place = post.places.take()

        def is_second(session, transaction):
            return len(transaction.recipients) > 0
        post.sink.rule("rcpt", reply("452 4.5.3 one at a time"), match=is_second)
        post.sink.rule("dot", reply("451 4.3.0 not now"), host=place.first, times=3)
        letter = post.send([place.address(f"r{n}") for n in range(3)])
        post.wait_told(letter, "deferred", count=3)
        assert [t.recipients for t in post.sink.dots()] == [[place.address(f"r{n}")] for n in range(3)], "each once"
        post.wait_settled(letter, timeout=60)


def test_many_jobs_of_couriers_that_died_twice_are_worked_one_after_another():
    count = 12
    with scene(couriers=1) as post:
        place = post.places.take()
        gate = Gate()
        held = post.sink.rule("mail", stall(gate=gate))
        letters = post.send_many([place.address(f"r{n}") for n in range(count)])
        courier, = post.cluster.of("courier")
        for _ in range(2):
            wait.until(lambda: post.cluster.queue()["claimed"] == count, 30, "all claimed")
            post.cluster.restart(post.cluster.kill(courier))
        post.sink.clear(held)
        gate.open()
        for letter in letters:
            post.wait_delivered(letter, timeout=60)
