"""
The server's side of SASL for the scripted sink: PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 (RFC 7677).
"""

import base64
import hashlib
import hmac
import os

MECHANISMS = ("SCRAM-SHA-256", "PLAIN", "LOGIN")
ITERATIONS = 4096


class Refused(Exception):
    """The reply that ends the exchange."""


async def authenticate(mechanism, initial, users, ask):
    """
    The name of who has shown to be one of users ({name: password}). initial: the client's first words, or None;
    ask(challenge) sends 334 and returns the answer, both in base64.
    """
    if mechanism == "LOGIN":
        name = _text(initial if initial is not None else await ask(_b64(b"Username:")))
        _check(users, name, _text(await ask(_b64(b"Password:"))))
        return name
    first = _octets(initial if initial is not None else await ask(""))
    if mechanism == "SCRAM-SHA-256":
        return await _scram(first.decode("utf-8", "replace"), users, ask)
    parts = first.split(b"\0")
    if len(parts) != 3:
        raise Refused("501 5.5.2 Not PLAIN")
    _check(users, parts[1].decode("utf-8", "replace"), parts[2].decode("utf-8", "replace"))
    return parts[1].decode("utf-8")


def _check(users, name, password):
    if users.get(name) != password:
        raise Refused("535 5.7.8 Wrong name or password")


async def _scram(first, users, ask):
    gs2, bare = first[:3], first[3:]
    fields = dict(part.split("=", 1) for part in bare.split(",") if "=" in part)
    if gs2 not in ("n,,", "y,,") or "n" not in fields or "r" not in fields:
        raise Refused("501 5.5.2 Not SCRAM")
    name = fields["n"].replace("=2C", ",").replace("=3D", "=")
    salt = hashlib.sha256(b"salt of " + name.encode()).digest()[:16]
    server_first = f"r={fields['r']}{base64.b64encode(os.urandom(12)).decode()},s={_b64(salt)},i={ITERATIONS}"
    final = _text(await ask(_b64(server_first.encode())))
    without_proof, _, proof = final.rpartition(",p=")
    said = dict(part.split("=", 1) for part in without_proof.split(",") if "=" in part)
    salted = hashlib.pbkdf2_hmac("sha256", users.get(name, os.urandom(8).hex()).encode(), salt, ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    message = ",".join((bare, server_first, without_proof)).encode()
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
    right = bytes(a ^ b for a, b in zip(client_key, signature))
    is_bound = base64.b64decode(said.get("c", "")) == gs2.encode() and said.get("r") == server_first[2:].split(",", 1)[0]
    if not is_bound or not hmac.compare_digest(_octets(proof), right):
        raise Refused("535 5.7.8 Wrong name or password")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    await ask(_b64(b"v=" + base64.b64encode(hmac.digest(server_key, message, "sha256"))))
    return name


def _b64(octets):
    return base64.b64encode(octets).decode()


def _octets(text):
    if text == "*":
        raise Refused("501 5.7.0 Cancelled")
    try:
        return base64.b64decode("" if text == "=" else text, validate=True)
    except ValueError:
        raise Refused("501 5.5.2 Not base64") from None


def _text(text):
    return _octets(text).decode("utf-8", "replace")
