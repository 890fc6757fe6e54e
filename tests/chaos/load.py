"""
What travels through a chaos run: domains whose hosts are healthy, slow, busy, unreliable or dead, and mail of every kind to them. All of it is
drawn from the seed.
"""

import random
import re

from harness.dns import Zone
from harness.generator import Generator, content, noise
from harness.sink import ScriptedSink, drop, reply, stall
from harness.slots import COMMON_SLOT, partition_slot

SENDER = "s@origin.test"
HEALTHY = [f"good{n}.test" for n in range(24)]
SLOW, LATER, FLAKY, BUSY, SECOND, DEAD = "slow.test", "later.test", "flaky.test", "busy.test", "second.test", "dead.test"
_HURT = (SLOW, LATER, FLAKY, BUSY)
_GOOD_HOSTS = [f"good host {n}" for n in range(6)]
_ORIGIN_HOST, _NOBODY = "origin's host", "nobody"
SITES = [*_GOOD_HOSTS, *_HURT, SECOND, _ORIGIN_HOST, _NOBODY]  # each has an address of its own; at nobody's no one listens

# Who a message goes to, by weight.
_DOMAINS = [(HEALTHY, 73), ([SLOW], 5), ([LATER], 7), ([FLAKY], 7), ([BUSY], 4), ([SECOND], 3), ([DEAD], 1)]
_NOBODY_OF_THAT_NAME = 0.05
_NULL_SENDER = 0.04
NO_SUCH_USER = re.compile("(also)?no")  # how their addresses begin
_QUEUES = [(1, 80), (2, 8), (3, 6), (5, 4), (12, 2)]
# Octets, by weight: above 262,000 in chunks; many queues and more than 256 KiB in all: the parent keeps the content. Half of the small and all
# of the large is noise, which compression makes little smaller.
_SIZES = [((500, 4000), 880), ((4000, 40000), 100), ((120000, 160000), 10), ((450000, 900000), 6)]


def zone(places):
    """places: {site: its address}"""
    made = Zone().mx("origin.test", "mx.origin.test").a("mx.origin.test", places[_ORIGIN_HOST])
    for number, domain in enumerate(HEALTHY):
        made.mx(domain, f"mx.{domain}").a(f"mx.{domain}", places[_GOOD_HOSTS[number % len(_GOOD_HOSTS)]])
    for domain in _HURT:
        made.mx(domain, f"mx.{domain}").a(f"mx.{domain}", places[domain])
    made.mx(SECOND, f"mx1.{SECOND}", f"mx2.{SECOND}").a(f"mx1.{SECOND}", places[_NOBODY]).a(f"mx2.{SECOND}", places[SECOND])
    return made.mx(DEAD, f"mx.{DEAD}").a(f"mx.{DEAD}", places[_NOBODY])


def busy_slots():
    """The slots of a Redis Cluster that have keys: of every partition, and of what all share."""
    return [*map(partition_slot, range(256)), COMMON_SLOT]


def _drawn(rng, table):
    return rng.choices([what for what, _ in table], [weight for _, weight in table])[0]


def _message(seed, prefix, number):
    """(sender, recipients, content) of message `number`: the same whenever it is asked for."""
    rng = random.Random(f"{seed}/{number}")
    sender = "" if rng.random() < _NULL_SENDER else SENDER
    recipients = []
    for place in range(_drawn(rng, _QUEUES)):
        domain = rng.choice(_drawn(rng, _DOMAINS))
        if sender == "" and domain == DEAD:
            domain = HEALTHY[0]
        name = "no" if rng.random() < _NOBODY_OF_THAT_NAME else "r"
        recipients.append(f"{name}{number}-{place}@{domain}")
    if rng.random() < 0.1:
        recipients.append(f"also{recipients[0]}")
    size = rng.randint(*_drawn(rng, _SIZES))
    body = noise(size, rng) if size > 80000 or rng.random() < 0.5 else None
    return sender, recipients, content(f"{prefix}-{number}", sender, recipients, size, body=body)


def _address(session):
    """The one in the command that a session said last."""
    return session.commands[-1].partition("<")[2].partition(">")[0]


def _misbehave(sink, rng, places):
    """The rules of the hosts."""
    greylisted = set()

    def is_new(session, _):
        address = _address(session)
        known = address in greylisted
        greylisted.add(address)
        return not known

    def odds(share):
        return lambda session, transaction: rng.random() < share

    sink.rule("rcpt", reply("550 5.1.1 no such user"), match=lambda session, _: NO_SUCH_USER.match(_address(session)))
    sink.rule("rcpt", reply("451 4.7.1 greylisted"), host=places[LATER], match=is_new)
    for seconds, share in ((3.0, 0.08), (1.0, 0.25), (0.2, 1.0)):
        sink.rule("dot", stall(seconds), host=places[SLOW], match=odds(share))
    sink.rule("dot", drop(taken=True), host=places[FLAKY], match=odds(0.06))
    sink.rule("dot", drop(taken=False), host=places[FLAKY], match=odds(0.06))
    sink.rule("dot", reply("451 4.3.0 not now"), host=places[FLAKY], match=odds(0.06))
    sink.rule("data", drop(), host=places[FLAKY], match=odds(0.06))
    sink.rule("connect", reply("421 4.3.2 too busy", then_drop=True), host=places[BUSY], match=odds(0.4))
    sink.rule("mail", reply("452 4.3.1 no room"), host=places[BUSY], match=odds(0.2))


def sink(seed, places, host):
    """All mail hosts: on the host of network.py, at their places."""
    made = ScriptedSink([ip for site, ip in places.items() if site != _NOBODY], name="chaos.test", host=host)
    _misbehave(made, random.Random(f"{seed}/sink"), places)
    return made


class Load(Generator):
    """Steady mail through all doors; each content is forgotten as soon as it is not needed, at both ends."""

    def __init__(self, doors, sink, seed, rate, sessions=60, host=None):
        prefix = f"{random.Random(f'{seed}/load').getrandbits(32):08x}"
        super().__init__(doors, lambda number: _message(seed, prefix, number), sessions=sessions, rate=rate, linger=0.01, prefix=prefix,
                         seed=f"{seed}/sessions", roams=True, chunked=0.4, has_wishes=True, host=host)
        self._sink = sink
        self._items_forgotten = self._transactions_forgotten = 0

    def forget(self):
        """Lets go of the contents of what is done so far, in order."""
        while self._items_forgotten < len(self.items) and self.items[self._items_forgotten].is_done:
            self.items[self._items_forgotten].content = None
            self._items_forgotten += 1
        seen = self._sink.transactions
        while self._transactions_forgotten < len(seen) and seen[self._transactions_forgotten].session.closed_at:
            if seen[self._transactions_forgotten].ledger_id is not None:
                seen[self._transactions_forgotten].content = None
            self._transactions_forgotten += 1

    def dropped(self):
        """{(ledger id, recipient)} with a null sender that the sink refused for good: nobody is told of these."""
        refused = {address for transaction in self._sink.transactions for address, said in transaction.refused if said[:1] == "5"}
        return {(item.ledger_id, recipient) for item in self.items if item.sender == ""
                for recipient in item.recipients if recipient in refused}
