"""
One primary of a Redis Cluster is away, and nothing stands for it. Mail of all other parts goes on: a message to many domains reaches all whose part
is there, at once; the others when theirs is back, each once, or they are returned when their time is over. What is known of each is exact.
"""

import smtplib

import pytest
from post import Post, Report
from protocol.calls import Partition
from protocol.store import Store

from harness import wait
from harness.cluster import Cluster
from harness.replicas import RedisCluster
from harness.sink import Gate, ScriptedSink, reply, stall
from harness.slots import partition_of, partition_slot, partition_tag

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def domains(prefix, count):
    return [f"{prefix}{n}.test" for n in range(count)]


ALL = domains("d", 250) + domains("brief", 30) + domains("slow", 30)


class Scene:
    """A cluster whose Redis has three primaries, one of which is the victim: not that of the common keys."""

    def __init__(self, redis, sink, cluster):
        self.redis, self.sink, self.cluster = redis, sink, cluster
        common = redis.owner()
        self.victim = next(server for server in redis.owners() if server is not common)
        self._hurt = set(redis.slots_of(self.victim))
        self.post = Post(cluster, sink, prefix="part")
        self.sender = f"s@{self.safe(ALL)[0]}"  # reports can be made whatever is away

    def is_hurt(self, domain):
        return partition_slot(partition_of(domain)) in self._hurt

    def safe(self, among):
        return [domain for domain in among if not self.is_hurt(domain)]

    def hurt(self, among):
        return [domain for domain in among if self.is_hurt(domain)]

    def some(self, safe, hurt, prefix="d"):
        """So many domains whose part stays, and so many whose part goes."""
        among = [domain for domain in ALL if domain.startswith(prefix)]
        return self.safe(among)[1:safe + 1] + self.hurt(among)[:hurt]

    @staticmethod
    def home(letter):
        """The partition where its parent is."""
        high, low = (_CROCKFORD.index(character) for character in letter.message_id[-2:])
        return (high << 5 | low) & 0xff

    def send(self, recipients, octets=100, is_hurt=False):
        """A message whose parent is in the victim, or is not: those that ingress puts elsewhere go to their sender, who gets all of them."""
        body = b"0123456789abcde\r\n" * (octets // 17 + 1)
        while True:
            letter = self.post.send([f"r@{domain}" for domain in recipients], sender=self.sender, body=body)
            if (partition_slot(self.home(letter)) in self._hurt) == is_hurt:
                return letter

    def order(self, script, letter, number=0, queue="#fanout"):
        """One of the operator's orders about a job whose part is there."""
        partition = self.home(letter) if queue == "#fanout" else partition_of(queue)
        with self.redis.owner(partition).client(decode_responses=True) as redis:
            return Store(redis).run(Partition(partition_tag(partition)).order(script, f"{letter.message_id}.{number}", queue))

    def parent(self, letter):
        """Its record; {} when it has ended."""
        partition = self.home(letter)
        with self.redis.owner(partition).client() as redis:
            return redis.hgetall(Partition(partition_tag(partition)).record(f"{letter.message_id}.0"))

    def set_parent(self, letter, field, value):
        partition = self.home(letter)
        with self.redis.owner(partition).client() as redis:
            redis.hset(Partition(partition_tag(partition)).record(f"{letter.message_id}.0"), field, value)

    def chunks(self, letter):
        with self.redis.owner(self.home(letter)).client() as redis:
            return len(list(redis.scan_iter(f"b:*:{letter.message_id}.0:*", 10000)))

    def reached(self, letter):
        """The domains that have it."""
        return {recipient.rpartition("@")[2] for copy in self.post.copies(letter) for recipient in copy.recipients}

    def wait_reached(self, letter, wanted, timeout=30):
        wait.until(lambda: self.reached(letter) >= set(wanted), timeout,
                   lambda: f"{letter.ledger_id} at {sorted(set(wanted) - self.reached(letter))[:5]}; {self.post.told(letter)[-2:]}")

    def wait_waiting(self, letter, left, unknown, timeout=30):
        wait.until(lambda: any((int(line["left"]), int(line["unknown"])) == (left, unknown) for line in self.post.told(letter, "expansion_waits")),
                   timeout, lambda: f"{left} left, {unknown} unknown; {self.post.told(letter, 'expansion_waits')[-3:]}")

    def story(self, queue):
        """What history says of a queue's partition."""
        part = Partition(partition_tag(partition_of(queue)))
        with self.redis.owner(partition_of(queue)).client(decode_responses=True) as redis:
            return [detail for _, _, detail in Store(redis).history(part)]

    def leave_mark(self, letter, number, queue):
        part = Partition(partition_tag(partition_of(queue)))
        with self.redis.owner(partition_of(queue)).client() as redis:
            redis.set(part.seen(f"{letter.message_id}.{number}"), "its digest", ex=3600)

    def fill(self, server, octets=None):
        """It has more than it may; 0: no limit."""
        with server.client() as redis:
            redis.config_set("maxmemory", redis.info("memory")["used_memory"] * 9 // 10 if octets is None else octets)

    def rest(self):
        """No courier is there, until work()."""
        for node in self.cluster.of("courier"):
            node.process.terminate()

    def work(self):
        for node in self.cluster.of("courier"):
            self.cluster.restart(node)

    def hush(self):
        """The couriers stand still for a moment, too short to be buried, and know nothing of what happens meanwhile."""
        for node in self.cluster.of("courier"):
            node.process.freeze()

    def wake(self):
        for node in self.cluster.of("courier"):
            node.process.thaw()

    def held(self):
        """Jobs put aside in the parts that are there."""
        count = 0
        for server in self.redis.awake():
            with server.client() as redis:
                count += sum(redis.zcard(key) for key in redis.scan_iter("h:*", 10000))
        return count

    def mail(self):
        """The answer to MAIL."""
        with smtplib.SMTP(*self.cluster.addresses[0], timeout=30) as client:
            client.ehlo("client.test")
            code, text = client.mail(self.sender)
            return code, text.split()[0].decode()

    def answers(self, domain):
        """(to MAIL, to RCPT of that domain)"""
        with smtplib.SMTP(*self.cluster.addresses[0], timeout=30) as client:
            client.ehlo("client.test")
            code, text = client.mail(self.sender)
            return (code, text.split()[0].decode()), client.rcpt(f"r@{domain}")[0]

    def lose(self):
        self.redis.kill(self.victim)
        domain = self.hurt(ALL)[0]
        wait.until(lambda: self.answers(domain)[1] == 451, 20, "ingress to know")

    def bring_back(self):
        self.redis.restart(self.victim)
        self.redis.wait_ready()
        self.wait_whole()

    def wait_whole(self):
        domain = self.hurt(ALL)[0]
        wait.until(lambda: self.answers(domain)[1] == 250, 30, "ingress to take mail for that part")

    def hurry(self):
        """Makes all that waits due. The jobs there are, claimed ones too."""
        jobs = []
        for server in self.redis.owners():
            with server.client(decode_responses=True) as redis:
                store = Store(redis)
                for key in redis.scan_iter("q:*", 10000):
                    _, tag, queue = key.split(":", 2)
                    for job in redis.zrange(key, 0, -1):
                        store.run(Partition(tag[1:-1]).order("retry", job, queue))
                        jobs.append((job, queue, store.history(Partition(tag[1:-1]))[-3:]))
                for key in redis.scan_iter("c:*", 10000):
                    jobs += redis.zrange(key, 0, -1)
        return jobs

    def assert_balanced(self, **more):
        wait.until(lambda: not self.hurry(), 60, lambda: f"an empty queue, there are {self.hurry()}", pause=0.5)
        ledger = self.post.assert_balanced(**more)
        assert not any(self.post.told(letter, "in_doubt") for letter in self.post.items)
        return ledger


@pytest.fixture(scope="module", name="scene")
def _scene():
    hosts = [f"127.0.0.{n}" for n in range(1, 9)]
    with RedisCluster(primaries=3, replicas=0) as redis, ScriptedSink(hosts) as sink:
        settings = {"courier": {"routes": {domain: f"{hosts[n % 8]}:{sink.port}" for n, domain in enumerate(ALL)}},
                    "retry": {"schedules": {f"brief{n}.test": "lifetime=1s" for n in range(30)}}}
        with Cluster(redis=redis, couriers=2, settings=settings) as cluster:
            made = Scene(redis, sink, cluster)
            made.wait_whole()
            yield made


@pytest.fixture(autouse=True)
def _clean(scene):
    yield
    scene.sink.clear()


# proves: A03 A12
def test_jobs_are_made_wherever_they_can_be_and_the_rest_when_its_part_is_back(scene):
    """Small content travels with each job; large content stays with the parent; the operator returns one; the lifetime of another ends."""
    many, large, returned, brief = ALL[:250], scene.some(3, 3), scene.some(2, 1, "slow"), scene.some(1, 2, "brief")
    scene.rest()
    small = scene.send(many)
    bulky = scene.send(large, 400000)
    bounced = scene.send(returned)
    late = scene.send(brief)
    chunks = scene.chunks(bulky)
    assert chunks > 0
    scene.lose()
    for domain in returned:
        scene.sink.rule("rcpt", reply("450 4.2.0 not now"), domain=domain)
    scene.work()
    scene.wait_reached(small, scene.safe(many))
    scene.wait_reached(bulky, scene.safe(large))
    for letter, those in ((small, many), (bulky, large)):
        scene.wait_waiting(letter, len(scene.hurt(those)), 0)
    scene.post.wait_told(bounced, "deferred", 2)
    scene.wait_waiting(bounced, 1, 0)
    assert scene.order("bounce", bounced) == "ok"
    scene.post.wait_returned(bounced)
    # nobody waits for ever: it ends in time as all mail does, by the schedule of its own queue
    report = scene.post.wait_returned(late)
    assert sorted(report.recipients) == sorted(f"r@{domain}" for domain in scene.hurt(brief))
    assert all("5.4.7" in str(report.of(recipient)["Status"]) for recipient in report.recipients)
    assert scene.held() == 0 and scene.chunks(bulky) == chunks
    scene.bring_back()
    for letter in (small, bulky, bounced):
        scene.order("retry", letter)
    scene.wait_reached(small, many)
    scene.wait_reached(bulky, large)
    wait.until(lambda: {recipient for report in scene.post.reports(bounced) for recipient in Report(report).recipients} == set(bounced.recipients), 30,
               lambda: f"all of it returned; {scene.post.told(bounced)[-3:]}")
    scene.sink.clear()  # of those that send() gave up, too
    assert scene.reached(late) == set(scene.safe(brief)) and not scene.reached(bounced)
    scene.assert_balanced(timeout=60)
    assert all(len(scene.post.copies(letter)) == len(those) for letter, those in ((small, many), (bulky, large)))
    assert scene.parent(small) == {} and scene.chunks(bulky) == 0


# proves: A10
def test_content_in_a_part_that_is_away_holds_nobody(scene):
    """Its readers are there, and wait for it; other mail does not wait for them."""
    readers = scene.some(3, 0, "slow")
    for domain in readers:
        scene.sink.rule("rcpt", reply("450 4.2.0 not now"), domain=domain)
    letter = scene.send(readers, 400000, is_hurt=True)
    scene.post.wait_told(letter, "deferred", 3)
    wait.until(lambda: b"y" in scene.parent(letter), 20, "the parent waits for its readers")
    scene.lose()
    scene.sink.clear()
    for number, domain in enumerate(readers):
        scene.order("retry", letter, number + 1, domain)
    put_off = "its content is in a part of Redis that is away"
    wait.until(lambda: all(put_off in scene.story(domain) for domain in readers), 20, "they are put off")
    scene.post.wait_delivered(scene.send([readers[0]]))
    assert scene.held() == 0 and not scene.reached(letter)
    scene.bring_back()
    for number, domain in enumerate(readers):
        scene.order("retry", letter, number + 1, domain)
    scene.wait_reached(letter, readers)
    scene.assert_balanced(timeout=60)
    assert len(scene.post.copies(letter)) == 3


# proves: A05
def test_what_was_asked_for_and_not_answered_is_unknown_and_made_once(scene):
    """The primary stops without a word: what it was asked then it may do later."""
    among = scene.some(120, 5)
    scene.hush()
    letter = scene.send(among)
    scene.redis.freeze(scene.victim)
    scene.wake()
    scene.wait_reached(letter, scene.safe(among))
    scene.wait_waiting(letter, 0, 5, timeout=40)
    scene.redis.thaw(scene.victim)
    scene.wait_whole()
    scene.order("retry", letter)
    scene.wait_reached(letter, among)
    scene.assert_balanced(timeout=60)
    assert len(scene.post.copies(letter)) == len(among)


# proves: A05 A10
def test_after_the_time_of_marks_what_left_no_trace_is_held_and_what_did_is_not(scene):
    """While its part is away nobody is asked, and nothing is held. Back without the job and its mark, nobody could tell: the operator decides."""
    gone, there = scene.some(1, 1), scene.some(1, 2)[:2]
    scene.hush()
    lost, made = scene.send(gone), scene.send(there)
    scene.redis.freeze(scene.victim)
    scene.wake()
    for letter in (lost, made):
        scene.wait_reached(letter, scene.safe(gone))
        scene.wait_waiting(letter, 0, 1, timeout=40)
    scene.redis.kill(scene.victim)  # it never did what it was asked
    day = 21 * 3600 * 1000
    for letter in (lost, made):
        scene.set_parent(letter, "y", int(scene.parent(letter)[b"y"]) - day)
        count = len(scene.post.told(letter, "expansion_waits"))
        scene.order("retry", letter)
        scene.post.wait_told(letter, "expansion_waits", count + 1)
    assert scene.held() == 0
    scene.redis.restart(scene.victim)
    scene.redis.wait_ready()
    scene.leave_mark(made, 2, scene.hurt(there)[0])  # as one that was made, and delivered
    scene.wait_whole()
    wait.until(lambda: scene.hurry() is not None and scene.post.told(made, "expanded") and scene.post.told(lost, "held"), 30,
               "one to be known, the other to be held", pause=0.3)
    held = scene.post.told(lost, "held")
    assert held[-1]["why"] == "too old to tell which of its jobs exist"
    scene.order("unhold", lost)
    scene.wait_reached(lost, gone)
    scene.post.dropped.add((made.ledger_id, f"r@{scene.hurt(there)[0]}"))
    scene.assert_balanced(timeout=60)
    assert len(scene.post.copies(lost)) == 2 and scene.reached(made) == set(scene.safe(there))


# proves: A03
def test_ingress_answers_for_each_part(scene):
    """Mail for a part that is away, or full, gets 451 or 452 at its RCPT, that of others none; at MAIL only when all parts are."""
    safe, hurt = scene.safe(ALL)[1], scene.hurt(ALL)[0]
    scene.lose()
    assert scene.answers(hurt) == ((250, "2.1.0"), 451) and scene.answers(safe)[1] == 250
    with smtplib.SMTP(*scene.cluster.addresses[0], timeout=30) as client:  # one transaction, for who can be reached
        assert (client.ehlo("client.test")[0], client.mail(scene.sender)[0]) == (250, 250)
        code, text = client.rcpt(f"r@{hurt}")
        assert (code, text.split()[0], client.rcpt(f"r@{safe}")[0]) == (451, b"4.3.0", 250)
    for server in scene.redis.owners():
        scene.redis.freeze(server)
    wait.until(lambda: scene.mail() == (451, "4.3.0"), 20, lambda: f"451 to MAIL; {scene.mail()}")
    for server in scene.redis.servers:
        if server is not scene.victim:
            scene.redis.thaw(server)
    scene.bring_back()
    scene.fill(scene.victim)
    wait.until(lambda: scene.answers(hurt)[1] == 452, 20, lambda: f"452 to RCPT; {scene.answers(hurt)}")
    assert scene.answers(hurt)[0][0] == 250 and scene.answers(safe)[1] == 250
    others = [server for server in scene.redis.servers if server is not scene.victim]
    for server in others:
        scene.fill(server)
    wait.until(lambda: scene.mail() == (452, "4.3.1"), 20, lambda: f"452 to MAIL; {scene.mail()}")
    for server in scene.redis.servers:
        scene.fill(server, 0)
    scene.wait_whole()
    wait.until(lambda: scene.answers(safe)[1] == 250, 20, "room again")


# proves: A06
def test_while_a_verdict_cannot_be_recorded_nothing_more_is_claimed_in_its_part(scene):
    """The place of one queue is damaged, so that nothing of its partition can be settled. Other partitions of that part rest; other parts do not."""
    gate = Gate()
    stuck, same, other = scene.hurt(ALL)[0], scene.hurt(ALL)[1], scene.safe(ALL)[1]
    assert partition_of(stuck) != partition_of(same)
    scene.sink.rule("dot", stall(gate=gate), domain=stuck)
    first = scene.post.send(f"r@{stuck}", sender=scene.sender)
    gate.wait_held()
    with scene.victim.client() as redis:
        due = f"d:{{{partition_tag(partition_of(stuck))}}}"
        saved = redis.zrange(due, 0, -1, withscores=True)
        redis.delete(due)
        redis.set(due, "damaged")
        gate.open()
        scene.post.wait_told(first, "delivered")

        def rests():
            letter = scene.post.send(f"r@{same}", sender=scene.sender)
            scene.post.wait_delivered(scene.post.send(f"r@{other}", sender=scene.sender))
            try:
                scene.post.wait_delivered(letter, timeout=1.5)
            except wait.Deadline:
                return letter
            return None
        others = [node for node in scene.cluster.of("courier") if first.message_id not in node.process.log_text()]
        for node in others:  # one is left, which has the verdict
            node.process.terminate()
        waiting = wait.until(rests, 30, "nothing more to be claimed there")
        scene.post.wait_delivered(scene.post.send(f"r@{other}", sender=scene.sender))
        assert not scene.post.copies(waiting)
        redis.delete(due)
        redis.zadd(due, {name: score for name, score in saved} | {stuck: 0})
    for node in others:
        scene.cluster.restart(node)
    scene.post.wait_delivered(waiting)
    scene.assert_balanced(timeout=60)
    assert len(scene.post.copies(first)) == 1


# proves: A07
def test_a_courier_with_claims_in_a_part_that_stays_away_ends_and_others_get_them(scene):
    """It settles what it can, and says that it ended; mail of other parts goes on by the other courier, which has no claims there."""
    gate = Gate()
    hurt, safe = scene.hurt(ALL)[0], scene.safe(ALL)[1]
    scene.cluster.reload({"courier": {"away_time": "2s"}})
    for node in scene.cluster.of("courier"):
        node.process.wait_log("event=config_loaded.*", 20)
    scene.sink.rule("dot", stall(gate=gate), domain=hurt)
    letter = scene.post.send(f"r@{hurt}", sender=scene.sender)
    gate.wait_held()
    busy = wait.until(lambda: next((node for node in scene.cluster.of("courier") if node.metrics().get("barid_claimed", 0) > 0), None), 20,
                      "the courier that has it to tell")
    fault = scene.cluster.faults.note("courier", busy.name, busy.pid, lasting=True)
    scene.lose()
    assert busy.process.wait(30) == 1
    assert "event=store_away" in busy.process.log_text()
    fault.end()
    scene.post.wait_delivered(scene.post.send(f"r@{safe}", sender=scene.sender))
    scene.cluster.restart(busy, wait_ready=True)
    gate.open()
    scene.bring_back()
    scene.post.wait_delivered(letter)
    scene.post.assert_balanced(timeout=60)
    scene.cluster.reload({"courier": {"away_time": "1min"}})
