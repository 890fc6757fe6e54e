"""Many domains, a deep queue, many recipients: every recipient gets what its remote said, once."""

from harness import wait
from harness.cluster import Cluster
from harness.dns import Dns, Zone
from harness.generator import Generator
from harness.ledger import Ledger
from harness.sink import ScriptedSink, reply


def zone_of(domains, hosts=8):
    zone = Zone()
    for number, domain in enumerate(domains):
        zone.mx(domain, f"mx.{domain}").a(f"mx.{domain}", f"127.0.0.{1 + number % hosts}")
    return zone


HOSTS = [f"127.0.0.{n}" for n in range(1, 9)]


# proves: A06 I17
def test_a_hundred_domains_get_one_message_each():
    domains = [f"d{n}.test" for n in range(100)]
    with ScriptedSink(HOSTS) as sink, Dns(zone_of(domains)) as dns:
        with Cluster(ingress=2, dispatchers=2, couriers=2, dns_port=dns.port, settings={"courier": {"port": sink.port}}) as cluster:
            with Generator(cluster.addresses, lambda n: ("s@origin.test", [f"r@{domains[n]}"]), sessions=10, limit=100) as generator:
                generator.wait_done()
            cluster.wait_empty()
            assert sorted(t.recipients[0] for t in sink.taken()) == sorted(f"r@{d}" for d in domains)
            Ledger([generator], [sink]).assert_balanced()


# proves: H15
def test_ten_thousand_messages_of_one_domain_go_over_few_connections():
    with ScriptedSink(HOSTS, keep=1 << 16) as sink, Dns(zone_of(["deep.test"])) as dns:
        with Cluster(ingress=2, dispatchers=2, couriers=2, dns_port=dns.port, settings={"courier": {"port": sink.port}}) as cluster:
            with Generator(cluster.addresses, lambda n: ("s@origin.test", [f"r{n}@deep.test"]), sessions=20, limit=10000, per_connection=500) as generator:
                generator.wait_done(300)
            cluster.wait_empty(120)
            Ledger([generator], [sink]).assert_balanced()
            assert len(sink.taken()) == 10000
            assert len(sink.sessions) < 500


# proves: H05 K01 K02 K09 J01 A06
def test_one_message_to_a_hundred_recipients_in_thirty_domains():
    domains = [f"m{n}.test" for n in range(30)]
    recipients = [f"r{n}@{domains[n % 30]}" for n in range(100)]
    failed = {r for n, r in enumerate(recipients) if n % 10 == 3}
    deferred = {r for n, r in enumerate(recipients) if n % 10 == 7}
    with ScriptedSink(HOSTS) as sink, Dns(zone_of([*domains, "origin.test"])) as dns:
        for recipient in failed:
            sink.rule("rcpt", reply("550 5.1.1 no such user"), recipient=recipient)
        for recipient in deferred:
            sink.rule("rcpt", reply("451 4.2.1 come again"), recipient=recipient, times=2)
        with Cluster(ingress=2, dispatchers=2, couriers=2, dns_port=dns.port, settings={"courier": {"port": sink.port}}) as cluster:
            with Generator(cluster.addresses, lambda n: ("s@origin.test", recipients), sessions=1, limit=1) as generator:
                generator.wait_done()
            cluster.wait_empty()
            ledger = Ledger([generator], [sink]).assert_balanced()
            assert {recipient for _, recipient in ledger.reports} == failed
            assert all(report.status == "5.1.1" for found in ledger.reports.values() for report, _ in found)
            assert {recipient for _, recipient in ledger.copies} == set(recipients) - failed
            assert all(len(copies) == 1 for copies in ledger.copies.values())


# proves: K03
def test_a_failed_message_with_a_null_sender_is_not_reported():
    with ScriptedSink(HOSTS) as sink, Dns(zone_of(["one.test", "origin.test"])) as dns:
        sink.rule("rcpt", reply("550 5.1.1 no"), domain="one.test")
        with Cluster(dns_port=dns.port, settings={"courier": {"port": sink.port}}) as cluster:
            with Generator(cluster.addresses, lambda n: ("", [f"r{n}@one.test"]), sessions=1, limit=3) as generator:
                generator.wait_done()
            cluster.wait_empty()
            assert sink.taken() == []
            wait.until(lambda: cluster.metric("barid_failed_total") == 3, 10, "three failures counted")
            assert cluster.metric("barid_dsn_total") == 0
            Ledger([generator], [sink], dropped=generator.acknowledged()).assert_balanced()


# proves: J02 J08 K07 K21
def test_mail_that_cannot_be_delivered_in_time_is_returned_with_the_last_error():
    with ScriptedSink(HOSTS) as sink, Dns(zone_of(["slow.test", "origin.test"])) as dns:
        sink.rule("rcpt", reply("451 4.7.1 not today"), domain="slow.test")
        settings = {"courier": {"port": sink.port}, "retry": {"first": "200ms", "longest": "500ms", "lifetime": "2s"}}
        with Cluster(dns_port=dns.port, settings=settings) as cluster:
            with Generator(cluster.addresses, lambda n: ("s@origin.test", ["r@slow.test"]), sessions=1, limit=1) as generator:
                generator.wait_done()
            returned = sink.wait_for(lambda t: t.taken and t.sender == "")
            cluster.wait_empty()
            ledger = Ledger([generator], [sink]).assert_balanced()
            (report, _), = next(iter(ledger.reports.values()))
            assert report.action == "failed" and report.status[:1] in "45"
            assert b"not today" in returned.content
            assert len([s for s in sink.sessions]) >= 2
