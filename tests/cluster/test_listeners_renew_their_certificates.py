"""Certificates are renewed while the ingress runs: when a file changes or settings do; what cannot be used changes nothing."""

import os
import smtplib
import socket

import pytest

from harness import paths, wait
from harness.authority import Authority
from harness.cluster import Cluster
from post import parse_line

_LISTENERS = {"public": {"role": "relay"}, "wrapped": {"role": "submissions", "auth": "off"}}


class Place:
    def __init__(self, cluster, authority, file):
        self.cluster, self.authority, self.file = cluster, authority, file
        self.node = cluster.node("ingress1")

    def serial(self, listener="public", name="localhost"):
        """The serial number of the certificate shown to a client that asks for that name."""
        context = self.authority.client()
        context.check_hostname = False
        with socket.create_connection(self.cluster.address(listener), timeout=20) as plain:
            if listener == "public":
                for line in (b"", b"EHLO client.test\r\n", b"STARTTLS\r\n"):
                    plain.sendall(line)
                    told = b""
                    while not told.endswith(b"\r\n") or told.splitlines()[-1][3:4] == b"-":
                        told += plain.recv(1000)
            with context.wrap_socket(plain, server_hostname=name) as secure:
                return int(secure.getpeercert()["serialNumber"], 16)

    def told(self, event):
        return [fields for fields in map(parse_line, self.node.log_text().splitlines()) if fields.get("event") == event]

    def wait_told(self, event, count):
        wait.until(lambda: len(self.told(event)) >= count, 20, event)
        return self.told(event)


@pytest.fixture
def place():
    authority = Authority(paths.scratch("authority"))
    file = authority.issue("localhost")
    with Cluster(dispatchers=0, couriers=0, settings={"ingress": {"threads": 2}, "tls": {"certificates": [file]}}, listeners=_LISTENERS) as cluster:
        yield Place(cluster, authority, file)


# proves: C08
def test_a_changed_file_is_seen_and_running_sessions_go_on(place):
    before = place.serial()
    with smtplib.SMTP(*place.cluster.address("public"), timeout=20) as client:
        client._host = "localhost"
        client.starttls(context=place.authority.client())
        client.ehlo("client.test")
        place.authority.issue("localhost", file=place.file)
        wait.until(lambda: place.serial() != before, 20, "the new certificate")
        wait.until(lambda: place.serial("wrapped") == place.serial(), 20, "the same at the other listener")
        assert client.noop()[0] == 250
    assert {fields["listener"] for fields in place.told("certificate_loaded")} == {"public", "wrapped"}


# proves: C08
def test_a_broken_file_keeps_the_old_one_and_is_told_once(place):
    before = place.serial()
    with open(place.file, "rb") as file:
        good = file.read()
    with open(place.file + ".broken", "wb") as file:
        file.write(good[:len(good) // 2])
    os.replace(place.file + ".broken", place.file)
    told = place.wait_told("certificate_refused", 2)
    assert {fields["listener"] for fields in told} == {"public", "wrapped"}
    assert all("tls.certificates" in fields["error"] for fields in told)
    place.authority.issue("localhost", file=place.file + ".next")
    assert place.serial() == before and place.serial("wrapped") == before
    os.replace(place.file + ".next", place.file)
    wait.until(lambda: place.serial() != before, 20, "the mended certificate")
    wait.until(lambda: place.serial("wrapped") != before, 20, "the mended certificate")
    assert len(place.told("certificate_refused")) == 2


# proves: C08
def test_settings_bring_another_file_and_a_missing_one_keeps_what_was(place):
    other = place.authority.issue("localhost")
    before = place.serial()
    place.cluster.reload({"tls": {"certificates": [other]}})
    wait.until(lambda: place.serial() != before, 20, "the other certificate")
    now = place.serial()
    place.cluster.reload({"tls": {"certificates": ["/no/such.pem"]}, "ingress": {"max_message": "1MiB"}})
    wait.until(lambda: len(place.told("certificate_refused")) == 2, 20, "the missing file is told")
    assert place.serial() == now
    with smtplib.SMTP(*place.cluster.address("public"), timeout=20) as client:  # the other settings of the file are in force
        client.ehlo("client.test")
        wait.until(lambda: client.ehlo("client.test") and client.esmtp_features["size"] == str(1 << 20), 20, "the new size")


# proves: C07
def test_names_choose_the_certificate(place):
    other = place.authority.issue("other.test")
    before = place.serial()
    place.cluster.reload({"tls": {"certificates": [place.file, other]}})
    wait.until(lambda: place.serial(name="other.test") != before, 20, "the certificate of other.test")
    assert place.serial(name="localhost") == before
    assert place.serial(name="unknown.test") == before
