"""Delivery status notifications as a MIME library that is not ours reads them."""

import email
import email.policy
import os
import subprocess

import pytest

from harness import paths

WRITER = os.path.join(paths.BUILD, "tests", "unit", "mail", "test_dsn")


@pytest.fixture(scope="module", name="samples")
def written_samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dsn")
    subprocess.run([WRITER], env={**os.environ, "BARID_DSN_SAMPLES": str(folder)}, check=True, capture_output=True)
    return {path.stem: path.read_bytes() for path in folder.glob("*.eml")}


def parse(content):
    return email.message_from_bytes(content, policy=email.policy.SMTP)


# proves: K04 K15
def test_every_sample_is_well_formed(samples):
    assert len(samples) == 13
    for name, content in samples.items():
        message = parse(content)
        for part in message.walk():
            assert not part.defects, (name, part.get_content_type(), part.defects)
            for key, value in part.items():
                if (name, key) != ("global", "To"):  # what SMTPUTF8 is for
                    assert not value.defects, (name, key, value.defects)
        assert message.get_content_type() == "multipart/report"
        assert message.get_param("report-type") == "delivery-status"
        human, report, original = message.get_payload()
        assert human.get_content_type() == "text/plain"
        assert report.get_content_type() == ("message/global-delivery-status" if name == "global" else "message/delivery-status")
        assert original.get_content_type() in (("message/global",) if name in ("utf8", "global") else ("message/rfc822", "text/rfc822-headers"))


# proves: K05 K06 K09
def test_the_report_has_one_block_per_recipient(samples):
    for name, count in (("plain", 1), ("expired", 1), ("twenty", 20)):
        blocks = parse(samples[name]).get_payload()[1].get_payload()
        blocks = [block for block in blocks if block.keys()]
        assert blocks[0]["Reporting-MTA"] == "dns; relay.example"
        assert blocks[0]["Arrival-Date"] == "Sun, 22 Nov 2026 07:15:45 +0000"
        assert len(blocks) == count + 1
        for block in blocks[1:]:
            assert block["Final-Recipient"].startswith("rfc822; ")
            assert block["Action"] == "failed"
            assert block["Status"][0] in "45"
    diagnostic = parse(samples["twenty"]).get_payload()[1].get_payload()[2]["Diagnostic-Code"]
    assert diagnostic == ("smtp; 554 long words, too many for their own good, follow and are folded over several lines, "
                          "again and again")


# proves: K10
def test_the_header_answers_the_original(samples):
    message = parse(samples["plain"])
    assert message["From"].addresses[0].addr_spec == "MAILER-DAEMON@relay.example"
    assert message["From"].addresses[0].display_name == "Mail Delivery System"
    assert message["To"].addresses[0].addr_spec == "sender@example.org"
    assert message["In-Reply-To"] == message["References"] == "<orig.1@example.org>"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["Date"].datetime is not None


# proves: K11 K15
def test_the_original_comes_back_byte_for_byte(samples):
    original = samples["eightbit"].split(b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")[1]
    assert original.startswith(b"Subject: \xc3\xa4\r\nMessage-ID: <8@bit>\r\n\r\nbody \xff\r\n\r\n--=_")
    returned = parse(samples["eightbit"]).get_payload()[2].get_payload()[0]
    assert returned["Message-ID"] == "<8@bit>"
    assert returned.get_payload(decode=True) == b"body \xff\r\n"
    collided = parse(samples["collision"]).get_payload()[2].get_payload()[0]
    assert collided["Subject"] == "collision"
    assert b"--=_01KDSN" in collided.get_payload(decode=True)
    assert parse(samples["nul"]).get_payload()[2].get_content_type() == "text/rfc822-headers"


# proves: K05 K06 K12
def test_each_recipient_has_its_own_action(samples):
    blocks = [block for block in parse(samples["mixed"]).get_payload()[1].get_payload() if block.keys()]
    assert blocks[0]["Original-Envelope-Id"] == "QQ+7="
    told = [(block["Action"], block["Status"], block["Original-Recipient"], block["Final-Recipient"]) for block in blocks[1:]]
    assert told == [("failed", "5.1.1", "rfc822; Bob+x@example.com", "rfc822; bob@example.com"),
                    ("delayed", "4.7.1", None, "rfc822; carol@example.com"),
                    ("relayed", "2.0.0", "x400; a=b", "rfc822; dan@example.com")]
    assert [block["Will-Retry-Until"] is not None for block in blocks[1:]] == [False, True, False]


# proves: K16
def test_internationalized_addresses_have_their_own_type(samples):
    blocks = [block for block in parse(samples["utf8"]).get_payload()[1].get_payload() if block.keys()]
    assert blocks[1]["Final-Recipient"] == r"utf-8; b\x{F6}b@example.com"
    assert samples["utf8"].isascii() is False  # the original's header, in its part
    as_utf8 = email.message_from_bytes(samples["global"], policy=email.policy.SMTPUTF8)
    assert as_utf8["To"] == "s\u00e4nder@example.org"
    assert "Final-Recipient: utf-8; b\u00f6b@example.com\r\n".encode() in samples["global"]


# proves: K06
def test_what_a_mail_store_has_is_delivered(samples):
    block = parse(samples["delivered"]).get_payload()[1].get_payload()[1]
    assert (block["Action"], block["Status"], block["Diagnostic-Code"]) == ("delivered", "2.1.5", "smtp; 250 2.1.5 saved")


# proves: K10 K04
def test_words_that_are_not_ascii_are_read_as_they_were_written(samples):
    message = parse(samples["template"])
    assert samples["template"].isascii()
    assert message["Subject"] == "Unzustellbar f\u00fcr 1" and message["From"].addresses[0].display_name == "Postst\u00e4tte"
    words = message.get_payload()[0]
    assert words.get_content_charset() == "utf-8" and words.get_content().startswith("Hallo sender@example.org = f\u00fcr ihn,")


# proves: K03 K17
def test_a_double_bounce_names_its_reader_and_its_kind(samples):
    message = parse(samples["double"])
    assert message["To"] == "postmaster@example.org" and message["From"].addresses[0].username == "double-bounce"
    assert message["TLS-Required"] == "No" and message["Message-ID"].startswith("<double-bounce.")
