"""What nodes tell Prometheus: how much mail waits, claimed, held, how old and late, by site; in its format; a scrape costs Redis nothing, however much there is."""

import subprocess

import pytest
from post import Post

from harness import paths, slots, wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

JOBS, QUEUES, HELD = 20000, 40, 3
# Many jobs at once, of which only the figures are looked at. ARGV: the first due time, how many, how the ids begin.
FILL = """
for i = 1, tonumber(ARGV[2]) do
  redis.call('ZADD', KEYS[1], tonumber(ARGV[1]) + i, string.format('%s%06d.0', ARGV[3], i))
end
redis.call('ZADD', KEYS[2], tonumber(ARGV[1]), ARGV[4])
"""
OLD = "01ARYZ6S410000000000"    # of 2016: the message's time is in its id


@pytest.fixture(scope="module")
def scene():
    """A host that takes mail, and one that puts all off; nobody is in a hurry to try again."""
    with ScriptedSink(hosts=["127.0.0.1", "127.0.0.2"]) as sink:
        sink.rule("rcpt", reply("450 4.2.1 later"), host="127.0.0.2")
        routes = {"good.test": f"127.0.0.1:{sink.port}", "later.test": f"127.0.0.2:{sink.port}"}
        with Cluster(dispatchers=2, settings={"courier": {"routes": routes}, "retry": {"first": "600s", "longest": "600s"}}) as cluster:
            yield Post(cluster, sink)


def jobs(cluster, state):
    return cluster.metric('barid_queue_jobs{state="%s"}' % state)


def site(cluster, name, verdict):
    return cluster.metric('barid_site_recipients_total{site="%s",verdict="%s"}' % (name, verdict))


def wait_jobs(cluster, state, count):
    wait.until(lambda: jobs(cluster, state) == count, 40, lambda: f"{count} jobs {state}, there are {jobs(cluster, state)}")


# proves: M10
def test_verdicts_are_told_by_class_and_site(scene):
    letter = scene.send("a@good.test")
    put_off = scene.send("b@later.test")
    scene.wait_delivered(letter)
    scene.wait_told(put_off, "deferred", 1)
    cluster = scene.cluster
    assert site(cluster, "127.0.0.1", "delivered") >= 1 and site(cluster, "127.0.0.2", "deferred") >= 1
    assert site(cluster, "127.0.0.1", "deferred") == 0 and site(cluster, "other", "failed") == 0
    assert cluster.metric("barid_deferred_total") >= 1
    assert cluster.metric('barid_accept_seconds_count{durability="fsync"}') >= 2
    assert cluster.metric("barid_memory_bytes") > 1 << 20


# proves: M10
def test_the_depth_of_the_queue_is_that_of_the_cluster(scene):
    cluster = scene.cluster
    scene.send("c@later.test")
    before = cluster.queue()["waiting"]
    with cluster.redis.client() as redis:
        future = (int(redis.time()[0]) + 86400) * 1000
        for number in range(QUEUES):
            tag = slots.partition_tag(number * 5)
            queue = f"many{number}.test"
            redis.eval(FILL, 2, f"q:{{{tag}}}:{queue}", f"d:{{{tag}}}", future, JOBS // QUEUES, OLD, queue)
        for number in range(HELD):
            redis.zadd(f"h:{{{slots.partition_tag(number)}}}", {f"{OLD}{number:06}.0": future - 2 * 86400 * 1000})
    wait_jobs(cluster, "held", HELD)
    wait_jobs(cluster, "waiting", JOBS + before)
    assert jobs(cluster, "due") == 0
    assert cluster.metric("barid_queue_queues") >= QUEUES
    oldest = [node.metrics()['barid_queue_oldest_seconds{state="waiting"}'] for node in cluster.of("dispatcher")]
    assert max(oldest) > 8 * 365 * 86400
    assert max(node.metrics()['barid_queue_oldest_seconds{state="held"}'] for node in cluster.of("dispatcher")) >= 86000
    parts = [node.metrics()['barid_queue_jobs{state="waiting"}'] for node in cluster.of("dispatcher")]
    assert all(parts)    # each tells its own partitions


# proves: M10
def test_a_dispatcher_that_is_gone_leaves_its_figures_to_others(scene):
    cluster = scene.cluster
    waiting = jobs(cluster, "waiting")
    cluster.kill("dispatcher2")
    wait.until(lambda: cluster.node("dispatcher1").metrics()['barid_queue_jobs{state="waiting"}'] == waiting, 40, "the other one tells of all")
    cluster.restart("dispatcher2", wait_ready=True)
    wait.until(lambda: cluster.node("dispatcher2").metrics()['barid_queue_jobs{state="waiting"}'] > 0 and jobs(cluster, "waiting") == waiting,
               40, "both tell of their own again")


# proves: M10
def test_a_scrape_asks_redis_nothing(scene):
    """With Redis stopped nodes send it a little of their own, in bursts, and wait. Scraped meanwhile, they answer, and send no more for it."""
    cluster, scrapes = scene.cluster, 200

    def is_asked_less_than_scraped(node):
        told = [node.metrics() for _ in range(scrapes)]
        assert all(one["barid_store_requests_total"] for one in told)    # it answered each
        return told[-1]["barid_store_requests_total"] - told[0]["barid_store_requests_total"] < scrapes / 10
    fault = cluster.freeze_redis()
    try:
        for node in cluster.nodes:
            wait.until(lambda node=node: is_asked_less_than_scraped(node), 20, f"{node.name} sends less than one request for ten scrapes")
        assert all(node.metrics()['barid_queue_jobs{state="waiting"}'] > 0 for node in cluster.of("dispatcher"))
    finally:
        cluster.thaw_redis(fault)
    wait.until(lambda: cluster.status()["ready"], 30, "the cluster works again")


# proves: M10
@pytest.mark.parametrize("role", ["ingress", "dispatcher", "courier"])
def test_prometheus_finds_nothing_wrong_with_the_metrics(scene, role):
    for node in scene.cluster.of(role):
        status, text = node.http_get("/metrics")
        assert status == 200
        done = subprocess.run([paths.peer("promtool"), "check", "metrics"], input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=30, check=False)
        assert done.returncode == 0 and not done.stdout, done.stdout.decode()
