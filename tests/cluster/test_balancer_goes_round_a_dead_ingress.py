"""Two ingresses behind HAProxy: any of them may die, and clients that try again never notice."""

from harness.cluster import Cluster
from harness.generator import Generator
from harness.haproxy import HaProxy
from harness.ledger import Ledger
from harness.sink import ScriptedSink


# proves: A01 E07
def test_mail_flows_through_haproxy_while_ingresses_die():
    with ScriptedSink() as sink:
        settings = {"courier": {"routes": {"*": f"127.0.0.1:{sink.port}"}}}
        with Cluster(ingress=2, dispatchers=2, couriers=2, settings=settings) as cluster, HaProxy(cluster.addresses) as balancer:
            with Generator([("127.0.0.1", balancer.port)], lambda n: ("s@origin.test", [f"r{n}@one.test"]), sessions=10, rate=200) as generator:
                for name in ("ingress1", "ingress2"):
                    generator.wait_acknowledged(len(generator.acknowledged()) + 50)
                    node = cluster.kill(name)
                    generator.wait_acknowledged(len(generator.acknowledged()) + 50)
                    cluster.restart(node, wait_ready=True)
                generator.stop()
            cluster.wait_empty()
            Ledger([generator], [sink], cluster.faults).assert_balanced()
