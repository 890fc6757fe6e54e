"""
A destination that takes mail, puts it off, refuses connections and comes back, with a backlog all the time and three couriers; a healthy
one beside it. What the sinks saw is drawn: build/test-logs/*.png.
"""

import datetime
import itertools
import re
import statistics
import time

from harness import plot, wait
from harness.cluster import Cluster
from harness.generator import Generator
from harness.ledger import Ledger
from harness.sink import ScriptedSink, reply, stall

SICK, SITE, WELL = "127.0.4.1", "127.0.4.2", "127.0.4.3"
START, LIMIT, SITE_LIMIT, LANE_LIMIT, ONE_LANE_LIMIT = 5, 12, 6, 2, 1
SITE_DOMAINS = 4
HOLD_S = 0.1  # a host's answer to a dot
BULK, SENDER = "bulk@origin.test", "s@origin.test"
_GRANTED = re.compile(r"^(\S+) debug event=granted .*queue=(\S+) .*courier=(\d+) connections=(\d+)", re.MULTILINE)


def wall_to_monotonic(text):
    then = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    return then.timestamp() - time.time() + time.monotonic()


def over_time(intervals):
    """[(moment, how many of [(begin, end or None)] are open from then on)]; what ends at a moment ends before what begins."""
    steps = sorted([(begin, 1) for begin, _ in intervals] + [(end, -1) for _, end in intervals if end is not None])
    return list(zip((at for at, _ in steps), itertools.accumulate(change for _, change in steps)))


def connections(sink, host):
    return over_time([(session.opened_at, session.closed_at) for session in list(sink.sessions) if session.host == host])


def open_now(sink, host):
    return sum(session.closed_at is None and session.host == host for session in list(sink.sessions))


def open_dots(sink, domain, sender):
    """Messages of one queue whose dot is not answered yet: each has a connection of its own."""
    return over_time([(t.dot_at, t.replied_at) for t in sink.taken() if t.sender == sender and t.recipients[0].endswith("@" + domain)])


def answered(sink, host):
    return sorted(t.replied_at for t in sink.taken() if t.session.host == host and t.replied_at)


def overshoot(seen, limit):
    """How many connections above the limit there were at the worst moment."""
    return max([count - limit for _, count in seen] + [0])


def bound(start, successes, limit):
    """Connections that so many successes may have led to: one more for each cohort."""
    while successes >= start and start < limit:
        successes, start = successes - start, start + 1
    return start


def too_eager(seen, taken, start, limit, begin, end):
    """[(seconds after begin, connections, how many there might have been)]: each moment with more than cohorts so far allow."""
    wrong = []
    for at, count in seen:
        if begin <= at <= end:
            allowed = bound(start, sum(begin <= moment <= at for moment in taken), limit)
            if count > allowed:
                wrong.append((round(at - begin, 3), count, allowed))
    return wrong


def granted(cluster, queue):
    """[(moment, connections granted to all couriers)]: as the dispatchers told, each for five seconds at most."""
    told = sorted(((wall_to_monotonic(at), courier, int(count)) for node in cluster.of("dispatcher")
                   for at, of, courier, count in _GRANTED.findall(node.log_text()) if of == queue), key=lambda one: one[0])
    has, seen = {}, []
    for at, courier, count in told:
        for old, (until, had) in sorted(has.items(), key=lambda item: item[1]):
            if until < at and had:
                has[old] = (until, 0)
                seen.append((until, sum(count for _, count in has.values())))
        has[courier] = (at + 5, count)
        seen.append((at, sum(count for _, count in has.values())))
    return seen


def failures(cluster, queue):
    """When a courier could not use a host of this queue."""
    pattern = re.compile(rf"^(\S+) info event=host_failed .*queue={re.escape(queue)} ", re.MULTILINE)
    return sorted(wall_to_monotonic(at) for node in cluster.of("courier") for at in pattern.findall(node.log_text()))


def per_second(moments, begin, width=0.25):
    buckets = {}
    for moment in moments:
        place = int((moment - begin) / width)
        buckets[place] = buckets.get(place, 0) + 1
    return [(place * width, buckets.get(place, 0) / width) for place in range(max(buckets, default=0) + 2)]


def since(points, begin):
    return [(max(0.0, at - begin), value) for at, value in points]


class Story:
    """The phases, by name and time."""

    def __init__(self, cluster):
        self.cluster, self.phases = cluster, []

    def begin(self, name):
        self.phases.append((self.cluster.now(), name))

    def lasts(self, seconds):
        begun = self.phases[-1][0]
        wait.until(lambda: self.cluster.now() > begun + seconds, seconds + 10, f"{seconds} s of it", pause=0.1)

    def of(self, name):
        """(begin, end)"""
        place = next(n for n, (_, other) in enumerate(self.phases) if other == name)
        return self.phases[place][0], self.phases[place + 1][0]


def latencies(generator, sink):
    """[(acknowledged at, seconds until the host had it)]"""
    taken = {transaction.ledger_id: transaction.dot_at for transaction in sink.taken()}
    return [(at, taken[item.ledger_id] - at) for item in list(generator.items) for at in [min(item.acknowledged.values())]]


def wait_at_limits(sink, **limits):
    """Until there are so many connections; a site's last one may be in nobody's hands for a moment."""
    wait.until(lambda: open_now(sink, SITE) >= SITE_LIMIT - 1 and open_now(sink, SICK) >= limits["sick"], 30,
               lambda: f"both at their limits: {open_now(sink, SICK)} of {LIMIT}, {open_now(sink, SITE)} of {SITE_LIMIT}")


def live_through_it(cluster, sink, sick):
    story = Story(cluster)
    story.begin("takes")
    sick.start()
    wait_at_limits(sink, sick=LIMIT)
    story.lasts(4)
    story.begin("puts off")
    for host in (SICK, SITE):
        turns = itertools.count()
        sink.rule("rcpt", reply("451 4.7.1 slow down"), host=host)
        sink.rule("connect", reply("421 4.7.0 too busy", then_drop=True), host=host, match=lambda *_, turns=turns: next(turns) % 3 == 2)
    story.lasts(4)
    story.begin("refuses")
    sink.shut(SICK, SITE)
    story.lasts(5)
    story.begin("is back")
    sink.clear()
    for host in (SICK, SITE):
        sink.rule("dot", stall(HOLD_S), host=host)
    sink.open_again(SICK, SITE)
    wait_at_limits(sink, sick=LIMIT)
    story.lasts(7)
    story.begin("drains")
    sink.clear()
    return story


def draw(story, cluster, sink, well, limits):
    begin = story.phases[0][0]
    end = story.phases[-1][0] + 2
    taken = {host: answered(sink, host) for host in (SICK, SITE, WELL)}
    panels = [
        plot.Panel("one queue: connections at the host", "connections").level(f"limit {LIMIT}", LIMIT)
            .curve("granted", since(granted(cluster, "sick.test"), begin)).curve("open", since(connections(sink, SICK), begin))
            .curve("attempts that failed", [(at - begin, 0.3) for at in failures(cluster, "sick.test")], "points"),
        plot.Panel(f"a site of {SITE_DOMAINS} domains in two lanes: connections", "connections").level(f"limit {SITE_LIMIT}", SITE_LIMIT)
            .curve("open", since(connections(sink, SITE), begin)),
        plot.Panel("messages taken", "a second").curve("one queue", per_second(taken[SICK], begin), "lines")
            .curve("site", per_second(taken[SITE], begin), "lines").curve("healthy host", per_second(taken[WELL], begin), "lines"),
        plot.Panel("healthy queue: from 250 to its host", "milliseconds")
            .curve("each message", [(at - begin, took * 1000) for at, took in well], "points"),
    ]
    return plot.draw(plot.place("a_host_that_recovers.png"), f"three couriers, one host that puts off, refuses, recovers ({limits})", panels,
                     [(at - begin, name) for at, name in story.phases], end - begin)


# proves: H16 H17 J04 J06 J09 I14
def test_it_is_met_gently_and_no_limit_is_passed_at_any_moment():
    with ScriptedSink([SICK, SITE, WELL], keep=1 << 12) as sink:
        routes = {"sick.test": f"{SICK}:{sink.port}", "well.test": f"{WELL}:{sink.port}",
                  **{f"s{n}.test": f"{SITE}:{sink.port}" for n in range(SITE_DOMAINS)}}
        settings = {"log": {"level": "debug"}, "courier": {"routes": routes, "idle_time": "1s"}, "lanes": {"bulk": {"senders": [BULK]}},
                    "retry": {"first": "1s", "longest": "2s"},
                    "dispatcher": {"queue_start": START, "site_limits": {SITE: f"connections={SITE_LIMIT}"}, "pause_first": "500ms", "pause_longest": "3s",
                                   "limits": {"sick.test": f"connections={LIMIT}", "*/bulk": f"connections={LANE_LIMIT}",
                                              "s1.test/bulk": f"connections={ONE_LANE_LIMIT}"}}}

        def to_sick(n):
            return SENDER, [f"r{n}@sick.test"]

        def to_site(n):
            return (BULK if n % 2 else SENDER), [f"r{n}@s{n // 2 % SITE_DOMAINS}.test"]

        def to_well(n):
            return SENDER, [f"r{n}@well.test"]

        with Cluster(couriers=3, dispatchers=2, settings=settings) as cluster:
            for host in (SICK, SITE):
                sink.rule("dot", stall(HOLD_S), host=host)
            sick = Generator(cluster.addresses, to_sick, limit=2200, prefix="sick")
            with Generator(cluster.addresses, to_site, limit=1500, prefix="site") as site, \
                    Generator(cluster.addresses, to_well, rate=25, sessions=4, prefix="well") as well:
                wait_at_limits(sink, sick=0)
                story = live_through_it(cluster, sink, sick)
                still = cluster.queue()["waiting"]
                for generator in (well, sick, site):
                    generator.stop()
            cluster.wait_empty(60)
            told = latencies(well, sink)
            picture = draw(story, cluster, sink, told, f"limits {LIMIT} and {SITE_LIMIT}")
            print(f"picture: {picture}")
            Ledger([sick, site, well], [sink], cluster.faults).assert_balanced()
            assert all(len(copies) == 1 for copies in sink.copies().values()), "no dot was open when the host went: no second copy"
            assert still > 0, "there was a backlog to the end"
            judge(story, cluster, sink, told)


def judge(story, cluster, sink, told):
    sick, site, taken = connections(sink, SICK), connections(sink, SITE), answered(sink, SICK)
    lanes = {f"s{n}.test": open_dots(sink, f"s{n}.test", BULK) for n in range(SITE_DOMAINS)}
    over = {"queue": overshoot(sick, LIMIT), "site": overshoot(site, SITE_LIMIT),
            "lane": max(overshoot(seen, ONE_LANE_LIMIT if domain == "s1.test" else LANE_LIMIT) for domain, seen in lanes.items())}
    eager = too_eager(sick, taken, START, LIMIT, *story.of("takes"))
    back, end = story.of("is back")
    eager_again = too_eager(sick, taken, 1, LIMIT, back, end)
    put_off, refused = story.of("puts off")
    low = [count for at, count in sick if put_off + 2 <= at <= refused]
    first = min(moment for moment in taken if moment > back)
    full = min(at for at, count in sick if at > back and count == LIMIT)
    tries = [len([at for at in failures(cluster, "sick.test") if begin <= at <= end]) for begin, end in [(put_off, refused), (refused, back)]]
    shrunk = min((at for at, count in sick if at > put_off and count <= 1), default=refused)
    refusals = sorted(t.began_at for t in list(sink.transactions) if t.session.host == SICK and t.refused)
    asked = sum(at > shrunk for at in refusals)
    print(f"overshoot {over}; put off {len(refusals)} times, {asked} in the {refused - shrunk:.1f} s with one connection; {tries[0]} connections failed meanwhile, {tries[1]} while it refused; "
          f"first message {first - back:.1f} s after it was back, all {LIMIT} connections {full - first:.1f} s later")
    calm = statistics.median(took for at, took in told if at < put_off)
    for begin, name in story.phases:
        until = min([at for at, _ in story.phases if at > begin] + [end + 60])
        of_phase = sorted(took for at, took in told if begin <= at < until)
        if of_phase:
            print(f"healthy queue while the other {name}: median {statistics.median(of_phase) * 1000:.1f} ms, worst {of_phase[-1] * 1000:.0f} ms of {len(of_phase)}")
        if of_phase and name in ("puts off", "refuses", "is back"):
            assert statistics.median(of_phase) < 3 * calm + 0.05, f"the healthy queue waits while the other {name}"
    assert over == {"queue": 0, "site": 0, "lane": 0}
    assert not eager, f"more than its cohorts allow: {eager[:3]}"
    assert not eager_again, f"a herd at its recovery: {eager_again[:3]}"
    assert max(low, default=0) <= 2, "it shrank when it was put off"
    assert asked <= 10 * (refused - shrunk) + 10 + LIMIT, "ten a second, after ten in a row"
    assert tries[1] < 20, "a dead host is left alone"


MANY, EACH = 50, 24


def watch(cluster, seen, until):
    """Notes what couriers and Redis have done so far, until something is true."""
    names = ("barid_claimed_total", "barid_connections_total", "barid_store_requests_total")

    def is_over():
        seen.append((cluster.now(), *[cluster.metric(name, "courier") for name in names]))
        return until()
    wait.until(is_over, 40, "all have their mail", pause=0.05)


# proves: H16 J04 J06
def test_many_that_recover_at_once_are_no_herd():
    hosts = [f"127.0.5.{n + 1}" for n in range(MANY)]
    with ScriptedSink(hosts, keep=1 << 12) as sink:
        sink.rule("dot", stall(HOLD_S))
        settings = {"courier": {"routes": {f"d{n}.test": f"{host}:{sink.port}" for n, host in enumerate(hosts)}},
                    "retry": {"first": "1s", "longest": "2s"}, "dispatcher": {"queue_start": START, "pause_first": "1s", "pause_longest": "2s"}}
        with Cluster(couriers=3, dispatchers=2, settings=settings) as cluster:
            sink.shut(*hosts)
            with Generator(cluster.addresses, lambda n: (SENDER, [f"r{n}@d{n % MANY}.test"]), limit=MANY * EACH) as generator:
                generator.wait_done()
            cluster.wait_metric("barid_queues_paused_total", 2 * MANY, "dispatcher")
            back, seen = cluster.now(), []
            sink.open_again(*hosts)
            watch(cluster, seen, lambda: len(sink.taken()) >= MANY * EACH)
            cluster.wait_empty()
            Ledger([generator], [sink], cluster.faults).assert_balanced()
            assert all(len(copies) == 1 for copies in sink.copies().values())
        by_host = {host: connections(sink, host) for host in hosts}
        firsts = sorted(at_host[0][0] - back for at_host in by_host.values())
        opened = sorted(session.opened_at - back for session in sink.sessions)
        peak = max(sum(at <= other < at + 0.1 for other in opened) for at in opened)
        together = over_time([(session.opened_at, session.closed_at) for session in sink.sessions])
        claims = [((later[1] - earlier[1]) / (later[0] - earlier[0]), later[0] - back) for earlier, later in zip(seen, seen[1:])]
        eager = [(host, wrong[0]) for host in hosts
                 for wrong in [too_eager(by_host[host], answered(sink, host), 1, 20, back, cluster.now())] if wrong]
        picture = plot.draw(plot.place("many_that_recover.png"), f"{MANY} hosts are back at once, {EACH} messages wait for each", [
            plot.Panel("connections at all hosts", "connections").curve("open", since(together, back)),
            plot.Panel("first connection to each host", "hosts").curve("so far", [(at, n + 1) for n, at in enumerate(firsts)]),
            plot.Panel("messages", "a second").curve("claimed", [(at, rate) for rate, at in claims], "lines")
                .curve("taken", per_second([t.replied_at for t in sink.taken()], back), "lines"),
            plot.Panel("requests of couriers to Redis", "a second").curve("requests", [
                (later[0] - back, (later[3] - earlier[3]) / (later[0] - earlier[0])) for earlier, later in zip(seen, seen[1:])], "lines"),
        ], [(0.0, "all are back")], seen[-1][0] - back + 0.5)
        print(f"picture: {picture}")
        print(f"first connections {firsts[0]:.2f} to {firsts[-1]:.2f} s after they were back, at most {peak} opened in a tenth of a second; "
              f"at most {max(count for _, count in together)} at once, {max(rate for rate, _ in claims):.0f} claims a second")
        assert not eager, f"more than its cohorts allow: {eager[:3]}"
        assert firsts[-1] - firsts[0] > 0.1, "they come back one after another"
