"""Exim, OpenSMTPD and Dovecot's LMTP run from their unpacked packages, and keep what they take."""

import smtplib
import ssl

import pytest

from harness.authority import Authority
from harness.dovecot import DovecotStore
from harness.exim import Exim
from harness.opensmtpd import OpenSmtpd

MESSAGE = b"Subject: to others\r\n\r\nhello\r\n"


def test_exim_takes_mail_within_tls_from_whom_it_knows(tmp_path):
    authority = Authority(str(tmp_path))
    with Exim(certificate=authority.issue("mx.test"), login=("u", "secret")) as exim:
        context = authority.client()
        context.check_hostname = False
        with smtplib.SMTP(exim.host, exim.port) as client:
            client.starttls(context=context)
            client.login("u", "secret")
            client.sendmail("a@one.test", ["x@two.test"], MESSAGE)
        copy = exim.wait_messages(1)[0]
    assert b"hello" in copy and b"with esmtpsa" in copy


def test_opensmtpd_takes_mail_and_fails_every_handshake(tmp_path):
    authority = Authority(str(tmp_path))
    with OpenSmtpd(certificate=authority.issue("mx.test", rsa=True)) as server:
        context = authority.client()
        context.check_hostname = False
        with smtplib.SMTP(server.host, server.port) as client:
            with pytest.raises(ssl.SSLError):
                client.starttls(context=context)
            client.close()
        with smtplib.SMTP(server.host, server.port) as client:
            client.sendmail("a@one.test", ["x@two.test"], MESSAGE)
        assert b"hello" in server.wait_messages(1)[0]


def test_dovecot_keeps_mail_of_its_users_and_refuses_others():
    with DovecotStore(["x@two.test"]) as store:
        for where in (("127.0.0.1", store.port), (store.socket, 0)):
            with smtplib.LMTP(*where) as client:
                refused = client.sendmail("a@one.test", ["x@two.test", "nobody@two.test"], MESSAGE)
            assert refused["nobody@two.test"][0] == 550
        assert b"hello" in store.wait_messages("x@two.test", 2)[0]
