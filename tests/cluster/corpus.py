"""The corpus: contents that a relay must not change, as {name: octets}. Every line end is CRLF but where the name says so."""

_HEAD = b"From: <s@origin.test>\r\nTo: <r@one.test>\r\nSubject: corpus\r\nX-Ledger-Id: %s\r\n"


def _plain(name, body, more_head=b""):
    return _HEAD % name.encode() + more_head + b"\r\n" + body


def small():
    every_octet = bytes(b for b in range(1, 256) if b not in (10, 13))
    bodies = {
        "empty-body": b"",
        "one-line": b"hello\r\n",
        "no-final-crlf": b"the last line has no end",
        "dots": b".\r\n..\r\n...\r\n.leading\r\ntrailing.\r\n . \r\n",
        "only-a-dot-line-last": b"text\r\n.\r\n",
        "eight-bit": "Grüße, 世界 — ß\r\n".encode() * 20,
        "latin-1": bytes(range(160, 256)) + b"\r\n",
        "every-octet-but-nul-cr-lf": every_octet + b"\r\n" + every_octet[::-1] + b"\r\n",
        "invalid-utf-8": b"\xf0\x9f\r\n\xc3\x28\r\n\xff\xfe\r\n",
        "line-of-998": b"x" * 998 + b"\r\n",
        "line-of-998-dots": b"." * 998 + b"\r\n",
        "trailing-spaces": b"space \r\ntab\t\r\n \r\n\t\r\n",
        "blank-lines": b"\r\n" * 50,
        "from-line": b"From somebody\r\n>From somebody\r\n",
        "starts-with-space": b" the body starts with a space\r\n",
        "mime": b"--b\r\nContent-Type: text/plain\r\n\r\n=3D soft=\r\nbreak\r\n--b--\r\n",
    }
    found = {name: _plain(name, body) for name, body in bodies.items()}
    heads = {
        "folded-headers": b"X-Folded: one\r\n two\r\n\tthree\r\n  \r\n four\r\n",
        "odd-names": b"__proto__: x\r\nconstructor: y\r\nX-Space : z\r\n" + b"N" * 500 + b": long\r\n",
        "eight-bit-headers": b"Subject: \xe4\xf6\xfc raw\r\nX-Utf8: \xe2\x82\xac\r\n",
        "duplicate-singletons": b"Date: one\r\nDate: two\r\nMessage-ID: <a@b>\r\nMessage-ID: <c@d>\r\n",
        "trailing-blanks-in-headers": b"X-Blank:   \r\nX-Tail: value   \r\n",
        "bcc-kept": b"Bcc: <secret@one.test>\r\nReturn-Path: <old@one.test>\r\n",
        "huge-header-line": b"X-Huge: " + b"y" * 60000 + b"\r\n",
        "many-headers": b"".join(b"X-Field-%d: %d\r\n" % (n, n) for n in range(1500)),
        "huge-header-section": b"".join(b"X-Long-%d: %s\r\n" % (n, b"z" * 900) for n in range(900)),
    }
    found.update({name: _plain(name, b"body\r\n", head) for name, head in heads.items()})
    return found


def edges():
    """Sizes around every buffer: content as the client sends it."""
    found = {}
    for size in (4095, 4096, 4097, 65535, 65536, 65537, 261700, 262000, 262001, 524000, 524001):
        name = f"size-{size}"
        head = _plain(name, b"")
        line = b"0123456789.abcdefghijklmnopqrstuvwxyz\r\n"
        body = (line * (size // len(line) + 1))[:size - len(head) - 2]
        body = body[:-1] + b"x" if body.endswith(b"\r") else body
        found[name] = head + body + b"\r\n"
    return found


def large(megabytes):
    name = f"large-{megabytes}"
    line = b".%060d the quick brown fox\r\n"
    return name, _plain(name, b"".join(line % n for n in range(megabytes * (1 << 20) // 86)))
