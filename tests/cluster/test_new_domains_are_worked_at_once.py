"""A queue whose destination nobody has seen to work is on trial: those together leave room. What has gone well, or is over, takes none of it."""

import pytest

from harness import wait
from harness.cluster import Cluster
from harness.generator import Generator
from harness.ledger import Ledger
from harness.sink import ScriptedSink, reply

DOMAINS, PREFIXES = 3000, ["taken", "refused", "put-off"]
ANSWERS = {"taken": None, "refused": reply("550 5.1.1 nobody"), "put-off": reply("451 4.7.1 greylisted")}


# proves: J09
@pytest.mark.parametrize("answer", ANSWERS)
def test_many_domains_that_nobody_knows_do_not_wait_for_each_other(answer):
    with ScriptedSink(keep=1 << 14) as sink:
        if ANSWERS[answer]:
            sink.rule("rcpt", ANSWERS[answer])
        settings = {"courier": {"routes": {"*": f"127.0.0.1:{sink.port}"}}}
        with Cluster(couriers=1, settings=settings) as cluster:
            with Generator(cluster.addresses, lambda n: ("", [f"r{n}@d{n}.test"]), limit=DOMAINS) as generator:
                generator.wait_done()
            accepted = cluster.now()
            told = {"taken": "delivered", "refused": "failed", "put-off": "deferred"}[answer]
            cluster.wait_metric(f"barid_{told}_total", DOMAINS, "courier", timeout=60)
            print(f"{DOMAINS} domains, {answer}: the last one {cluster.now() - accepted:.1f} s after it was accepted")
            assert cluster.now() - accepted < 8
