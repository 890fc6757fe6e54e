"""A notification about mail that may go by TLS only tells no more than its header, or needs TLS itself; one about mail that needs none says so too."""

import signal
import smtplib

import pytest
from post import Post

from harness import wait
from harness.authority import Authority
from harness.cluster import Cluster
from harness.sink import DEFAULT_FEATURES, ScriptedSink, reply

FAR, HOME, PLAIN = "127.0.8.1", "127.0.8.2", "127.0.8.3"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    door = Authority(str(tmp_path_factory.mktemp("door")), "door")
    with ScriptedSink([FAR, HOME, PLAIN], features=[*DEFAULT_FEATURES, "REQUIRETLS"]) as sink:
        sink.secure(door.issue("home.test"), HOME)
        sink.rule("rcpt", reply("550 5.1.1 no such user"), host=FAR)
        hosts = {"far.test": FAR, "home.test": HOME, "plain.test": PLAIN}
        settings = {"courier": {"routes": {domain: f"{host}:{sink.port}" for domain, host in hosts.items()}},
                    "tls_out": {"ca": door.ca, "policies": {"home.test": "verify home.test"}}}
        listeners = {"relay": {"role": "relay"}, "secure": {"role": "relay", "certificates": [door.issue("localhost")]}}
        with Cluster(settings=settings, listeners=listeners) as cluster:
            post = Post(cluster, sink)
            post.door = door
            yield post
            post.assert_balanced()


def require(scene, flag):
    """Puts dsn.require_tls in force."""
    node = scene.cluster.node("courier1")
    before = node.log_text().count("event=config_loaded")
    scene.cluster.write_settings({"dsn": {"require_tls": flag}})
    node.process.signal(signal.SIGHUP)
    wait.until(lambda: node.log_text().count("event=config_loaded") > before, 20, "the settings in force")


def send_protected(scene, sender):
    """To a host that has no TLS."""
    letter = scene.letter("who@far.test", sender=sender, header=b"Subject: s\r\n", body=b"the secret\r\n")
    with smtplib.SMTP("localhost", scene.cluster.address("secure")[1], timeout=60) as client:
        client.starttls(context=scene.door.client())
        client.ehlo("client.test")
        scene.hand_over(client, letter, ("REQUIRETLS", "RET=FULL"))
    return letter


# proves: K17 K11
@pytest.mark.parametrize("domain", ["plain.test", "home.test"])
def test_it_goes_any_way_and_tells_the_header_only(scene, domain):
    require(scene, "no")
    report = scene.wait_returned(send_protected(scene, f"s@{domain}"))
    assert "REQUIRETLS" not in report.transaction.arguments
    assert report.of("who@far.test")["Status"] == "5.7.30" and report.parts[2].get_content_type() == "text/rfc822-headers"
    assert b"the secret" not in report.transaction.content and report.message["TLS-Required"] is None


# proves: K17
def test_it_needs_tls_itself_where_the_settings_say_so(scene):
    require(scene, "yes")
    report = scene.wait_returned(send_protected(scene, "s@home.test"))
    assert "REQUIRETLS" in report.transaction.arguments.split() and report.transaction.session.tls
    assert b"the secret" not in report.transaction.content


# proves: K17 K03
def test_then_it_is_lost_where_its_way_has_no_tls(scene):
    require(scene, "yes")
    letter = send_protected(scene, "s@plain.test")
    scene.dropped.add((letter.ledger_id, "who@far.test"))
    scene.wait_told(letter, "dsn_sent")
    scene.cluster.wait_log("courier", r'event=bounced .*to=s@plain.test .*status=5\.7\.30')
    scene.cluster.wait_empty()
    assert scene.reports(letter) == []


# proves: K17
def test_a_report_about_mail_for_which_tls_does_not_matter_says_so(scene):
    require(scene, "no")
    letter = scene.send("who@far.test", sender="s@plain.test", header=b"TLS-Required: No\r\n")
    assert scene.wait_returned(letter).message["TLS-Required"] == "No"
    assert scene.wait_returned(scene.send("who@far.test", sender="s@plain.test")).message["TLS-Required"] is None
