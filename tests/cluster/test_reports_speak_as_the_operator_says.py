"""The human part in the operator's words: from files, in any script, checked before they are in force."""

import os
import re
import signal
import subprocess

import pytest
from post import Places, Post

from harness import paths, wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

FAILED = """Subject: Unzustellbar: {count} Empfänger

Guten Tag {sender},

Ihre Nachricht {message_id} (bei uns {number}, eingegangen {arrived})
erreichte diese Empfänger nicht:

{recipients}

Ihre Poststelle auf {host} {{für Sie da}}
"""
DELAYED = "Σας ενημερώνουμε έως {retry_until}\r\n\r\n{recipients}\r\n"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder, places = tmp_path_factory.mktemp("templates"), Places(10)
    for name, text in (("failed", FAILED), ("delayed", DELAYED)):
        (folder / name).write_bytes(text.encode())
    settings = {"retry": {"first": "100ms", "longest": "200ms"},
                "dsn": {"delay_after": "200ms", "warn_unasked": "all", "from_name": "Poststelle München",
                        "template_failed": str(folder / "failed"), "template_delayed": str(folder / "delayed")}}
    with ScriptedSink(places.hosts()) as sink:
        settings["courier"] = {"routes": places.routes(sink.port)}
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, sink)
            post.places, post.folder = places, folder
            yield post
            sink.clear()
            post.assert_balanced()


def refused(scene):
    place = scene.places.take()
    scene.sink.rule("rcpt", reply("550 5.1.1 no such user"), host=place.first)
    return scene.wait_returned(scene.send(place.address(), header=b"Message-ID: <one@origin.test>\r\n"))


# proves: K04 K10
def test_a_failure_is_told_in_their_words(scene):
    report = refused(scene)
    assert report.message["Subject"] == "Unzustellbar: 1 Empfänger"
    assert report.message["From"].addresses[0].display_name == "Poststelle München"
    words = report.parts[0]
    assert (words.get_content_type(), words.get_content_charset(), words["Content-Transfer-Encoding"]) == ("text/plain", "utf-8", "quoted-printable")
    assert "Guten Tag s@origin.test," in report.words and "<one@origin.test>" in report.words and "Empfänger nicht:" in report.words
    words = report.words.replace("\r\n", "\n")
    assert re.search(r"\n<r@place\d+\.test>:\n +127\.0\.1\.\d+ \[127\.0\.1\.\d+\]:\d+ answered: 550 5\.1\.1 no\n? +such user\n", words)
    assert re.search(r"Poststelle auf courier1\.relay\.test \{für Sie da\}", report.words) and "This is the mail system" not in report.words
    assert not [defect for part in report.message.walk() for defect in part.defects]
    assert report.transaction.content.isascii(), "the human part is encoded, so that any host takes it"
    assert [part.get_content_type() for part in report.parts] == ["text/plain", "message/delivery-status", "message/rfc822"]


# proves: J07
def test_a_delay_is_told_in_others(scene):
    place = scene.places.take()
    scene.sink.rule("rcpt", reply("451 4.2.1 wait"), recipient=place.address())
    report = scene.wait_returned(scene.send(place.address()))
    assert report.of(place.address())["Action"] == "delayed"
    assert report.words.startswith("Σας ενημερώνουμε έως ") and "4.2.1 wait" in report.words
    assert report.message["Subject"] == "Your message is delayed", "a template without a subject leaves ours"


def test_a_changed_file_is_read_at_a_reload_and_a_bad_one_is_refused(scene):
    node = scene.cluster.node("courier1")

    def reload(event):
        before = node.log_text().count(f"event={event}")
        node.process.signal(signal.SIGHUP)
        wait.until(lambda: node.log_text().count(f"event={event}") > before, 20, event)

    (scene.folder / "failed").write_text("Subject: Changed\n\n{recipients}\n")
    reload("config_loaded")
    assert refused(scene).message["Subject"] == "Changed"
    (scene.folder / "failed").write_text("Subject: Broken\n\n{recipiants}\n")
    reload("config_refused")
    assert "line 3 has the unknown field {recipiants}" in node.log_text()
    assert refused(scene).message["Subject"] == "Changed"
    (scene.folder / "failed").write_text(FAILED)
    reload("config_loaded")
    assert refused(scene).message["Subject"].startswith("Unzustellbar")


@pytest.mark.parametrize("text, why", [(b"no field\n", "it has no {recipients}"), (b"{recipients}\n{who}\n", "line 2 has the unknown field {who}"),
                                       (b"{recipients}\n\xe4\n", "line 2 is not plain text in UTF-8"), (b"x" * 9000, "larger than 8192 bytes"), (None, "cannot read")])
def test_a_broken_one_is_an_error_at_the_start(tmp_path, text, why):
    template, config = tmp_path / "template", tmp_path / "barid.yaml"
    if text is not None:
        template.write_bytes(text)
    config.write_text(f"dsn: {{template_failed: {template}}}\n")
    for command in (["barid-courier", "--config", str(config)], ["baridctl", "config", "check", str(config)]):
        done = subprocess.run([os.path.join(paths.BUILD, "bin", command[0]), *command[1:]], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode != 0, command
        assert why in done.stderr + done.stdout and "dsn.template_failed" in done.stderr + done.stdout and str(template) in done.stderr + done.stdout
    assert subprocess.run([os.path.join(paths.BUILD, "bin", "barid-courier"), "--config", str(config), "--check"], capture_output=True, timeout=30,
                          check=False).returncode == 2
