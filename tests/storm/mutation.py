"""Octets for a storm: random ones, and what others speak, spoilt."""

import glob
import os

_CORPUS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fuzz", "corpus")
_DIALOGUES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "dialog")
_EDGES = [b"\0", b"\x7f", b"\x80", b"\xff", b"\r", b"\n", b"\r\n", b".\r\n", b"\r\n.\r\n", b"\xff\xff\xff\xff", b"\0\0\0\0", b"%s%n", b"-1", b"4294967296",
          b"18446744073709551616"]


def corpus(*names):
    """What the fuzzers of these names begin with."""
    found = []
    for name in names:
        for path in sorted(glob.glob(os.path.join(_CORPUS, name, "*"))):
            with open(path, "rb") as file:
                found.append(file.read())
    assert found, names
    return found


def dialogues():
    """What the clients of the dialogue tests say, a whole session each."""
    found = []
    for path in sorted(glob.glob(os.path.join(_DIALOGUES, "*", "*.smtp"))):
        with open(path, "rb") as file:
            said = [line[3:].rstrip(b"\n") for line in file if line.startswith(b"C: ")]
        if said:
            found.append(b"\r\n".join(said) + b"\r\n")
    return found


def _change(dice, octets, others):
    """One thing of it is another."""
    at = dice.randrange(len(octets) + 1)
    end = min(len(octets), at + dice.choice([1, 1, 2, 4, 16, 100]))
    kind = dice.randrange(9)
    if kind == 0 and octets:
        at = min(at, len(octets) - 1)
        return octets[:at] + bytes([octets[at] ^ 1 << dice.randrange(8)]) + octets[at + 1:]
    if kind == 1:
        return octets[:at] + dice.choice(_EDGES) + octets[end:]
    if kind == 2:
        return octets[:at] + octets[end:]
    if kind == 3:
        return octets[:end] + octets[at:end] * dice.choice([1, 2, 50, 1000]) + octets[end:]
    if kind == 4:
        return octets[:at] + dice.randbytes(dice.choice([1, 3, 30, 3000])) + octets[end:]
    if kind == 5:
        return octets[:at]
    if kind == 6:
        other = dice.choice(others)
        return octets[:at] + other[dice.randrange(len(other) + 1):]
    if kind == 7:
        return octets[:at] + bytes([dice.randrange(256)]) * dice.choice([1, 100, 5000]) + octets[at:]
    return octets[:at] + dice.choice(others) + octets[at:]


def spoilt(dice, samples, most=200000):
    """One of the samples, changed once or often; or, now and then, as it is, or nothing but random octets."""
    if dice.random() < 0.1:
        return dice.randbytes(dice.choice([0, 1, 10, 200, 5000]))
    octets = dice.choice(samples)
    for _ in range(dice.choice([0, 1, 1, 2, 3, 5, 20])):
        octets = _change(dice, octets, samples)[:most]
    return octets


def pieces(dice, octets):
    """As it may come: whole, byte by byte, or cut anywhere."""
    size = dice.choice([len(octets) or 1, 1, 7, 100, 4096])
    if len(octets) // size > 300:
        size = len(octets) // 300
    for at in range(0, len(octets), size):
        yield octets[at:at + size]
