"""What is passed on is understood by Postfix: it reports by the names the sender gave, takes internationalized mail, and is spared binary content."""

import pytest
from post import Post, Report

from harness import wait
from harness.cluster import Cluster
from harness.postfix import Postfix
from harness.sink import ScriptedSink


@pytest.fixture(scope="module")
def scene():
    """A Postfix that delivers mail for pf.test and sends its own reports to the sink."""
    with ScriptedSink(["127.0.0.1"]) as sink:
        settings = {"relayhost": f"[127.0.0.1]:{sink.port}", "disable_dns_lookups": "yes", "smtp_dns_support_level": "disabled",
                    "smtputf8_enable": "yes", "smtputf8_autodetect_classes": "all"}
        with Postfix.receiver(["pf.test"], host="127.0.0.1", settings=settings) as receiver:
            routes = {"pf.test": f"127.0.0.1:{receiver.port}", "origin.test": f"127.0.0.1:{sink.port}"}
            listeners = {"relay": {"role": "relay", "extensions": ["CHUNKING", "DSN", "SMTPUTF8", "BINARYMIME"]}}
            with Cluster(settings={"courier": {"routes": routes}}, listeners=listeners) as cluster:
                post = Post(cluster, sink)
                post.receiver = receiver
                yield post
                cluster.wait_empty()


def reported(scene, letter):
    """Postfix' own report about a letter."""
    found = wait.until(lambda: next((t for t in scene.sink.taken() if t.sender == "" and letter.ledger_id.encode() in t.content), None), 30,
                       f"a report about {letter.ledger_id}")
    return Report(found)


# proves: K13 K05 K06
def test_postfix_reports_success_by_the_senders_names(scene):
    letter = scene.send("r@pf.test", options=("RET=HDRS", "ENVID=QQ+2B7"), wishes=("NOTIFY=SUCCESS", "ORCPT=rfc822;R+2Bx@old.test"))
    report = reported(scene, letter)
    assert report.per_message["Original-Envelope-Id"] == "QQ+7" and "postfix" in report.message["From"].lower() + report.message["Received"].lower()
    block = report.blocks[1]
    assert (block["Action"], block["Original-Recipient"]) == ("delivered", "rfc822;R+x@old.test")
    scene.wait_settled(letter)
    assert len([t for t in scene.sink.taken() if letter.ledger_id.encode() in t.content]) == 1, "one report, and it is Postfix'"


# proves: K13 K12
def test_postfix_keeps_silent_when_asked_to(scene):
    silent = scene.send("r@pf.test", wishes=("NOTIFY=NEVER",))
    told = scene.send("r@pf.test", wishes=("NOTIFY=SUCCESS",))
    reported(scene, told)
    assert not any(silent.ledger_id.encode() in t.content for t in scene.sink.taken())


# proves: N03
def test_postfix_takes_internationalized_mail(scene):
    letter = scene.send("jürgen@pf.test", sender="müller@origin.test", header="Subject: Grüße\r\n".encode(), options=("SMTPUTF8", "BODY=8BITMIME"))
    wait.until(lambda: any(letter.ledger_id.encode() in message and "Grüße".encode() in message for message in scene.receiver.messages()), 30,
               f"{letter.ledger_id} in the mailbox")


# proves: H18
def test_postfix_gets_no_binary_content_though_it_takes_chunks(scene):
    letter = scene.send("r@pf.test", body=b"\0\n\r", options=("BODY=BINARYMIME",))
    assert scene.wait_returned(letter).of("r@pf.test")["Status"] == "5.6.3"
