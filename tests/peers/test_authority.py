"""Certificates of every kind that tests need are what they say, by the openssl program's judgement."""

import ssl
import subprocess

import pytest

from harness.authority import Authority


@pytest.fixture(name="authority", scope="module")
def _authority(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("authority")))


def verdict(authority, path, name="mx.test"):
    done = subprocess.run(["openssl", "verify", "-CAfile", authority.ca, "-untrusted", path, "-verify_hostname", name, path],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return "OK" if done.returncode == 0 else done.stdout.decode()


def chain_length(path):
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(path)  # with its key
    with open(path, encoding="ascii") as file:
        return file.read().count("BEGIN CERTIFICATE")


def test_good_ones_and_bad_ones(authority):
    below = Authority(authority.folder, "below", issuer=authority)
    stranger = Authority(authority.folder, "stranger")
    good, chained = authority.issue("mx.test"), below.issue("mx.test")
    assert verdict(authority, good) == verdict(authority, chained) == verdict(authority, authority.issue("mx.test", rsa=True)) == "OK"
    assert "hostname mismatch" in verdict(authority, good, "other.test")
    assert "has expired" in verdict(authority, authority.issue("mx.test", days=-1))
    assert "unable to get local issuer" in verdict(authority, stranger.issue("mx.test"))
    assert "self-signed" in verdict(authority, authority.self_signed("mx.test"))
    assert [chain_length(path) for path in (good, chained, below.issue("mx.test", with_ca=True))] == [1, 2, 3]


def test_tlsa_records_name_certificate_key_and_authority(authority):
    old = authority.issue("mx.test")
    again, other = authority.issue("mx.test", key_of=old), authority.issue("mx.test")
    records = {path: [authority.association(path, 3, selector, matching) for selector in (0, 1) for matching in (0, 1, 2)]
               for path in (old, again, other)}
    assert records[old][3:] == records[again][3:] and records[old][:3] != records[again][:3]
    assert not set(records[old]) & set(records[other])
    assert records[old][1] == (3, 0, 1, authority.fingerprint(old))
    below = Authority(authority.folder, "under", issuer=authority)
    assert authority.association(old, 2, 0, 1)[3] == authority.fingerprint(authority.ca)
    assert below.association(old, 2, 0, 1)[3] == authority.fingerprint(below.certificate)
