"""
A queue taken out of one store and put into another: as a copy and as a move, to a file and straight on, whoever dies on the way. Nothing is lost,
nothing is there twice, and what stood in a record, a place or a mark stands there again.
"""

import json
import os
import random
import subprocess
import time

import pytest

from harness import paths, wait
from harness.cluster import Cluster
from harness.generator import Generator
from harness.ledger import Ledger
from harness.redis import RedisServer
from harness.sink import ScriptedSink, reply

CTL = paths.program("baridctl")
HOST = "127.0.0.1"


def routed(sink, *domains, **more):
    settings = {"courier": {"routes": {domain: f"{HOST}:{sink.port}" for domain in domains}},
                "retry": {"first": "300s", "longest": "300s"}}
    return {**settings, **more}


def send(cluster, *arguments):
    host, port = cluster.addresses[0]
    sent = json.loads(cluster.baridctl("send", "--server", f"{host}:{port}", "--json", *arguments, timeout=120))
    assert sent["refused"] == 0, sent
    return sent["messages"]


def ctl(cluster, *arguments, **more):
    return json.loads(cluster.baridctl(*arguments, "--json", timeout=120, **more))


def failing(cluster, *arguments, program=CTL):
    """Exit status and what it said."""
    done = subprocess.run([program, "--config", cluster.conf, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


def counts(cluster):
    queue = cluster.queue()
    return {place: queue[place] for place in ("waiting", "claimed", "held")}


def wait_tried(cluster, messages, jobs=1):
    def are_put_off():
        for message in messages:
            told = ctl(cluster, "trace", message)
            tried = {event["job"] for event in told["events"] if event["event"] == "deferred"}
            if len(tried) < jobs or not all(job["place"] in ("waiting", "gone") for job in told["jobs"]):
                return False
        return True
    wait.until(are_put_off, 40, lambda: f"{jobs} jobs of each are tried: {counts(cluster)}")


class Near(float):
    """Equal to what is less than 5 away."""

    def __eq__(self, other):
        return abs(self - other) < 5

    __hash__ = None


def shown(cluster, message):
    """
    A message as `msg show` tells it, without what another store may change (a message that keeps content looks for its readers anew); a time
    is equal to one that is less than 5 s away.
    """
    told = ctl(cluster, "msg", "show", message)
    for job in told["jobs"]:
        due_ms = job.pop("due_in_ms", 0) or 0
        job["due"] = Near(time.time() + due_ms / 1000 if job["place"] == "waiting" and job["queue"] != "#fanout" else 0)
        job.pop("partition")
        job.pop("crashes")
    return told


@pytest.fixture
def sink():
    with ScriptedSink() as sink:
        yield sink


@pytest.fixture
def there(sink):
    """The other cluster: its couriers wait, for all mail is put off for minutes."""
    with Cluster(settings=routed(sink, "later.test", "other.test", "far.test")) as cluster:
        yield cluster


@pytest.fixture
def here(sink):
    sink.wait_rule = sink.rule("rcpt", reply("450 4.2.1 come again"))
    with Cluster(settings=routed(sink, "later.test", "other.test", "far.test")) as cluster:
        yield cluster


def check_same(cluster, before):
    for message, wanted in before.items():
        found = shown(cluster, message)
        differ = {key: (found.get(key), wanted.get(key)) for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)}
        assert not differ, f"{message}: {differ}"


def fill(cluster, tmp_path):
    """Mail of all kinds: small and in pieces, waiting after an attempt, held, of several queues with shared content. Its ids."""
    big = tmp_path / "big.eml"
    big.write_bytes(b"Subject: large\r\n\r\n" + os.urandom(700000).hex().encode().replace(b"0", b"0\r\n"))
    small = send(cluster, "--from", "me@a.test", "--to", "x@later.test", "--count", "3")
    held = send(cluster, "--from", "hold@a.test", "--to", "y@other.test")
    large = send(cluster, "--from", "me@a.test", "--to", "z@later.test", "--file", big)
    many = send(cluster, "--from", "me@b.test", "--to", "p@later.test", "--to", "q@other.test", "--to", "r@far.test", "--file", big)
    few = send(cluster, "--from", "me@b.test", "--to", "p@later.test", "--to", "q@other.test")
    wait_tried(cluster, small + held + large)
    wait_tried(cluster, many, 3)
    wait_tried(cluster, few, 2)
    cluster.baridctl("queue", "hold", "other.test", "--sender", "hold@a.test", "--yes")
    return small + held + large + many + few


# proves: A01
def test_a_copy_in_a_file_is_the_queue_again(here, there, sink, tmp_path):
    messages = fill(here, tmp_path)
    before = {message: shown(here, message) for message in messages}
    file = tmp_path / "queue.barid"
    assert ctl(here, "store", "export", "*", "--dry-run")["jobs"] == 11
    told = ctl(here, "store", "export", "*", "--file", file)
    assert told["jobs"] == 11 and not told["is_move"] and told["moved"] == 0, told
    assert counts(here)["waiting"] + counts(here)["held"] == 11, "a copy leaves all where it is"
    dry = ctl(there, "store", "import", file, "--dry-run")
    assert (dry["jobs"], dry["held"], dry["is_copy"], dry["dry_run"]) == (11, 1, True, True), dry
    assert counts(there) == {"waiting": 0, "claimed": 0, "held": 0}
    done = ctl(there, "store", "import", file, "--yes")
    assert (done["new"], done["again"], done["failed"]) == (11, 0, 0), done
    check_same(there, before)
    again = ctl(there, "store", "import", file, "--yes")
    assert (again["new"], again["again"]) == (0, 11), "what is there is not made again"
    here.stop()
    sink.clear(sink.wait_rule)
    there.baridctl("queue", "release", "*", "--yes")
    there.baridctl("queue", "retry", "*", "--yes")
    there.wait_empty()
    assert len(sink.taken()) == 10, "each recipient once"
    assert ctl(there, "store", "import", file, "--yes")["again"] == 11, "what has ended there is not made again"
    there.wait_empty()
    assert len(sink.taken()) == 10


# proves: A01
def test_a_move_leaves_nothing_behind(here, there, sink, tmp_path):
    messages = fill(here, tmp_path)
    before = {message: shown(here, message) for message in messages}
    told = ctl(here, "store", "export", "*", "--move", "--to", there.conf, "--yes")
    assert (told["jobs"], told["moved"], told["refused"], told["in_doubt"], told["left_claimed"]) == (11, 11, 0, 0, 0), told
    check_same(there, before)
    here.wait_empty()
    with here.redis.client() as redis:
        assert not list(redis.scan_iter("j:*")) and not list(redis.scan_iter("b:*")), "the message whose content was shared has ended"
    again = ctl(here, "store", "export", "*", "--move", "--to", there.conf, "--yes")
    assert again["jobs"] == 0
    sink.clear(sink.wait_rule)
    there.baridctl("queue", "release", "*", "--yes")
    there.baridctl("queue", "retry", "*", "--yes")
    there.wait_empty()
    assert len(sink.taken()) == 10, "each recipient once"
    with there.redis.client() as redis:
        wait.until(lambda: not list(redis.scan_iter("b:*")), 30, "no content is left")


# proves: A01
def test_some_of_a_queue_moves_and_the_rest_stays(here, there, sink, tmp_path):
    messages = fill(here, tmp_path)
    told = ctl(here, "store", "export", "later.test", "--move", "--to", there.conf, "--sender", "@b.test", "--yes")
    assert (told["jobs"], told["moved"], told["parents"]) == (2, 2, 0), told
    [job] = [job for job in ctl(there, "msg", "show", messages[-2])["jobs"] if job["queue"] == "later.test"]
    assert job["place"] == "waiting"
    sink.clear(sink.wait_rule)
    for cluster in (here, there):
        cluster.baridctl("queue", "release", "*", "--yes")
        cluster.baridctl("queue", "retry", "*", "--yes")
        cluster.wait_empty()
    assert len(sink.taken()) == 10, "each recipient once"


# proves: A01
def test_a_message_half_divided_into_jobs_stays_until_a_courier_went_on(there, sink):
    """Which of its jobs were made is known by marks alone, and marks stay."""
    with Cluster(couriers=0) as here:
        send(here, "--to", "x@later.test", "--to", "y@other.test")
        move = "store", "export", "*", "--move", "--to", there.conf, "--yes"
        with here.redis.client(decode_responses=True) as redis:
            [record] = redis.scan_iter("j:*")
            redis.hset(record, "y", 1)  # a courier had it, and died
            status, said = failing(here, *move)
            assert status == 1 and "1 left here: messages half divided" in said, said
            assert counts(here) == {"waiting": 1, "claimed": 0, "held": 0}, "it goes on here"
            assert counts(there) == {"waiting": 0, "claimed": 0, "held": 0} and not sink.taken()
            redis.hdel(record, "y")
        assert ctl(here, *move)["moved"] == 1
        there.wait_empty()
        assert len(sink.taken()) == 2


# proves: A01 A07
def test_a_move_under_load_loses_nothing():
    """All the time mail comes in here, is claimed and put off; the moves of it are killed; there it is delivered."""
    rng = random.Random(int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(1 << 31))))
    with ScriptedSink() as busy, ScriptedSink() as sink:
        busy.rule("rcpt", reply("450 4.2.1 come again"))
        settings = [{"courier": {"routes": {"one.test": f"{HOST}:{each.port}", "two.test": f"{HOST}:{each.port}"}}} for each in (busy, sink)]
        with Cluster(settings=settings[0]) as here, Cluster(settings=settings[1]) as there:
            move = [CTL, "--config", here.conf, "store", "export", "*", "--move", "--to", there.conf, "--yes", "--wait", "2s"]
            with Generator(here.addresses, lambda n: ("s@origin.test", [f"r{n}@one.test", f"q{n}@two.test"]), sessions=4, rate=40) as generator:
                for _ in range(12):
                    generator.wait_acknowledged(len(generator.acknowledged()) + 20)
                    process = subprocess.Popen(move, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    try:
                        process.wait(rng.uniform(0.02, 1.5))
                    except subprocess.TimeoutExpired:
                        process.kill()
                    process.wait()
                generator.stop()
            def is_moved():
                done = subprocess.run(move, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
                return done.returncode == 0 and here.queue()["waiting"] + here.queue()["claimed"] + here.queue()["held"] == 0
            wait.until(is_moved, 90, lambda: f"all is moved: {counts(here)}")
            there.wait_empty()
            print(f"{len(sink.taken())} delivered there", flush=True)
            Ledger([generator], [busy, sink]).assert_balanced()


class Foreign:
    """A store of another layout, without a cluster, and the baridctl that reads it."""

    def __init__(self, build):
        self.program = os.path.join(build, "bin", "baridctl")
        self.redis = RedisServer()
        self.conf = os.path.join(self.redis.folder, "foreign.yaml")
        with open(self.conf, "w") as file:
            file.write(f"store: {{address: \"{self.redis.url}\"}}\n")

    def __enter__(self):
        self.redis.start()
        return self

    def __exit__(self, *given):
        self.redis.__exit__(*given)

    def baridctl(self, *arguments, timeout=60):
        done = subprocess.run([self.program, "--config", self.conf, *map(str, arguments)], stdout=subprocess.PIPE, timeout=timeout, check=True)
        return done.stdout.decode("utf-8", "replace")


# proves: A01
def test_another_layout_finds_everything_again(here, sink, tmp_path):
    """256 partitions and 64: ids name partitions that are not there, content has other places. There and back."""
    layout = paths.built("layout-64", "LAYOUT=64", program="baridctl")  # before there is a message that looks for its readers ever less often
    messages = fill(here, tmp_path)
    before = {message: shown(here, message) for message in messages}
    contents = {message: here.baridctl("msg", "cat", message) for message in messages}
    with Foreign(layout) as there:
        there.baridctl("store", "export", "*", "--file", tmp_path / "none.barid")
        there.baridctl("store", "import", tmp_path / "none.barid", "--yes")  # the store has its layout now
        status, said = failing(here, "store", "export", "*", "--move", "--to", there.conf, "--yes")
        assert status == 1 and "64 partitions" in said, said
        assert counts(here)["held"] == 1, "nothing was begun"
        told = ctl(here, "store", "export", "*", "--move", "--to", there.conf, "--program", there.program, "--yes")
        assert (told["moved"], told["refused"], told["again"]) == (11, 0, 0), told
        here.wait_empty()
        check_same(there, before)
        for message in messages:
            assert there.baridctl("msg", "cat", message) == contents[message]
            events = ctl(there, "trace", message)["events"]
            jobs = {job["job"] for job in before[message]["jobs"]}
            assert {event["job"] for event in events if event["event"] == "accepted"} == jobs
        back = json.loads(there.baridctl("store", "export", "*", "--move", "--to", here.conf, "--program", CTL, "--yes", "--json"))
        assert (back["moved"], back["again"]) == (11, 0), "marks of what was deleted here would answer again"
        check_same(here, before)
        with there.redis.client() as redis:
            assert not list(redis.scan_iter("j:*")) and not list(redis.scan_iter("b:*"))
    sink.clear(sink.wait_rule)
    here.baridctl("queue", "release", "*", "--yes")
    here.baridctl("queue", "retry", "*", "--yes")
    here.wait_empty()
    assert len(sink.taken()) == 10, "each recipient once"


# proves: A10
def test_damage_is_noticed_and_said_where(here, there, tmp_path):
    fill(here, tmp_path)
    file = tmp_path / "queue.barid"
    assert ctl(here, "store", "export", "*", "--file", file)["jobs"] == 11
    status, said = failing(here, "store", "export", "*", "--file", file)
    assert status == 1 and "it is there already" in said
    whole = file.read_bytes()

    def judged(content):
        bad = tmp_path / "bad.barid"
        bad.write_bytes(content)
        status, said = failing(there, "store", "import", bad, "--yes")
        assert status == 1 and "Traceback" not in said, said
        return said
    assert "no file of `baridctl store export`" in judged(b"From someone Mon Jan 1\n" * 1000)
    assert "the file ends in the middle: at byte 0" in judged(b"")
    assert "newer version" in judged(whole.replace(b"barid parcel 1", b"barid parcel 2", 1))
    assert f"the file ends in the middle: at byte " in judged(whole[:-1])
    assert "the file ends in the middle" in judged(whole[:len(whole) // 2])
    middle = len(whole) // 2
    assert "a block is damaged" in judged(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:])
    assert "something stands behind the end" in judged(whole + b"x")
    assert judged(os.urandom(1 << 20)) and judged(b"barid parcel 1\n" + b"\xff" * (1 << 20))
    assert counts(there) == {"waiting": 0, "claimed": 0, "held": 0}, "a file is judged before anything is done"
    bad = tmp_path / "cut.barid"
    bad.write_bytes(whole[:-1])
    told = ctl(there, "store", "import", bad, "--partial", "--yes")
    assert told["new"] >= 1 and "ends in the middle" in told["damage"]
    assert ctl(there, "store", "import", file, "--yes")["again"] == told["new"]


# proves: A01
def test_a_job_that_is_cut_off_is_not_made(here, there, tmp_path):
    """Whoever sends it dies in the middle of its content: without all of it it would answer "again" to the whole one, and its content were lost."""
    big = tmp_path / "big.eml"
    big.write_bytes(b"Subject: large\r\n\r\n" + os.urandom(2500000).hex().encode().replace(b"0", b"0\r\n"))
    [message] = send(here, "--to", "x@later.test", "--file", big)
    wait_tried(here, [message])
    file = tmp_path / "queue.barid"
    assert ctl(here, "store", "export", "*", "--file", file)["jobs"] == 1
    whole = file.read_bytes()
    done = subprocess.run([CTL, "--config", there.conf, "store", "import", "-", "--yes"], input=whole[:len(whole) * 2 // 3],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
    assert done.returncode == 1 and b"ends in the middle" in done.stderr, done
    assert counts(there) == {"waiting": 0, "claimed": 0, "held": 0}
    assert ctl(there, "store", "import", file, "--yes")["new"] == 1
    assert there.baridctl("msg", "cat", message) == here.baridctl("msg", "cat", message)


# proves: A03
def test_a_full_store_takes_nothing_and_the_move_goes_on_later(here, there, tmp_path):
    messages = fill(here, tmp_path)
    with there.redis.client() as redis:
        used = int(redis.info("memory")["used_memory"])
        redis.config_set("maxmemory", used + 200000)
    status, said = failing(here, "store", "export", "*", "--move", "--to", there.conf, "--yes", "--wait", "1s")
    assert status == 1 and "full" in said and "stopped" in said, said
    with there.redis.client() as redis:
        redis.config_set("maxmemory", 0)
    told = ctl(here, "store", "export", "*", "--move", "--to", there.conf, "--yes")
    assert told["refused"] == told["in_doubt"] == 0, told
    here.wait_empty()
    for message in messages:
        assert all(job["place"] != "gone" for job in ctl(there, "msg", "show", message)["jobs"])


def test_two_moves_at_once_are_refused(here, there):
    message, = send(here, "--to", "x@later.test")
    wait_tried(here, [message])
    with here.redis.client() as other:
        other.client_setname("barid-move-another")
        status, said = failing(here, "store", "export", "*", "--move", "--to", there.conf, "--yes")
        assert status == 1 and "another store export --move" in said, said
        assert counts(here)["waiting"] == 1 and counts(there) == {"waiting": 0, "claimed": 0, "held": 0}
        other.client_setname("")
        here.environment["BARID_STORE_ADDRESS"] = here.redis.url  # as where it comes from the environment: that says nothing about the other
        status, said = failing(here, "store", "export", "*", "--move", "--to", here.conf, "--yes")
        assert status == 1 and "this is the store that the jobs are taken out of" in said, said
        assert counts(here)["waiting"] == 1, "nothing is moved to where it is, and deleted"
        assert ctl(here, "store", "export", "*", "--move", "--to", there.conf, "--yes")["moved"] == 1


def test_what_is_no_queue_of_ours_is_left_alone(here, there, tmp_path):
    send(here, "--to", "x@later.test")
    with there.redis.client() as redis:
        redis.hset("barid:{c}:meta", "schema", 99)
    status, said = failing(here, "store", "export", "*", "--to", there.conf, "--yes")
    assert status == 1 and "another version" in said, said
    for wrong in (["*"], ["*", "--file", "x", "--to", "y"], ["*", "--file", "-", "--move", "--yes"], ["*/", "--file", "x"],
                  ["*", "--file", "x", "--wait", "soon"], ["*", "--file", "x", "--program", "y"]):
        status, said = failing(here, "store", "export", *wrong)
        assert status == 2, said
    assert failing(there, "store", "import", tmp_path / "none", "--yes")[0] == 1
