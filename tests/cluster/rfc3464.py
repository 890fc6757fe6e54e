"""
Reads a notification by its bytes and RFC 3464, 6522, 5322 and 6533 alone, field by field. What is not as these have it raises AssertionError with
the line. Shares nothing with what wrote it, nor with a MIME library that forgives.
"""

import base64
import email.utils
import quopri
import re

ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+"
DOMAIN = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*|\[[0-9A-Fa-f:.]+\]|\[IPv6:[0-9A-Fa-f:.]+\])"
DATE = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d{2}:\d{2}:\d{2} [+-]\d{4}"
ASCII_ADDRESS = r"rfc822; \S+@\S+"
UTF8_ADDRESS = r"utf-8; \S+@\S+"  # RFC 6533 section 3: as it is, or with \x{...}
ADDRESS = f"(?:{ASCII_ADDRESS}|{UTF8_ADDRESS}|[A-Za-z0-9-]+; .+)"

HEADER = {"date": DATE, "from": r".+ <[^<> ]+@" + DOMAIN + ">", "to": r"\S+@\S+", "subject": r".+", "message-id": r"<[^<>\s]+@[^<>\s]+>",
          "auto-submitted": "auto-(?:replied|generated)", "mime-version": r"1\.0", "content-type": "multipart/report; report-type=delivery-status; boundary=\"[^\"]{1,70}\""}
MAY_HEADER = {"in-reply-to": r"<[^<>\s]+>", "references": r"<[^<>\s]+>", "tls-required": "No", "content-transfer-encoding": "8bit",
              "received": ".*"}  # each host on the way adds one
PER_MESSAGE = {"reporting-mta": f"dns; {DOMAIN}", "arrival-date": DATE}
MAY_MESSAGE = {"original-envelope-id": ".+"}
PER_RECIPIENT = {"final-recipient": f"(?:{ASCII_ADDRESS}|{UTF8_ADDRESS})", "action": "failed|delayed|delivered|relayed|expanded", "status": r"[245]\.\d{1,3}\.\d{1,3}"}
MAY_RECIPIENT = {"original-recipient": ADDRESS, "remote-mta": f"dns; {DOMAIN}", "diagnostic-code": r"smtp; \d{3}(?: .*)?", "last-attempt-date": DATE,
                 "will-retry-until": DATE}
CLASSES = {"failed": "54", "delayed": "4", "delivered": "2", "relayed": "2", "expanded": "2"}
PARTS = [{"text/plain"}, {"message/delivery-status", "message/global-delivery-status"},
         {"message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"}]


def fields(block):
    """[(name, value)] of bytes in CRLF lines, unfolded."""
    found = []
    for line in block.split(b"\r\n"):
        assert line, "an empty line among fields"
        if line[:1] in b" \t":
            assert found and line.strip(), line
            found[-1] = (found[-1][0], found[-1][1] + b" " + line.strip())
        else:
            name, colon, value = line.partition(b":")
            assert colon and re.fullmatch(rb"[!-9;-~]+", name), line
            found.append((name.decode().lower(), value.strip()))
    return [(name, value.decode()) for name, value in found]


def checked(block, must, may, many=("received",)):
    """{name: value}: those that must be there and those that may, each once and of its grammar."""
    found = {}
    for name, value in fields(block):
        pattern = must.get(name) or may.get(name)
        assert pattern, f"{name} has no business there"
        assert name not in found or name in many, f"{name} is there twice"
        assert re.fullmatch(pattern, value), f"{name}: {value!r} is not {pattern}"
        found[name] = value
    assert set(must) <= set(found), f"missing: {set(must) - set(found)}"
    return found


def when(text):
    return email.utils.parsedate_to_datetime(text).timestamp()


class Notification:
    """header, words, message (per-message fields), recipients ([fields]), original (bytes), kinds (types of the three parts)."""

    def __init__(self, content):
        assert content.endswith(b"\r\n") and b"\0" not in content
        assert b"\n" not in content.replace(b"\r\n", b"") and b"\r" not in content.replace(b"\r\n", b"")
        assert max(len(line) for line in content.split(b"\r\n")) <= 998
        header, _, body = content.partition(b"\r\n\r\n")
        self.header = checked(header, HEADER, MAY_HEADER)
        assert abs(when(self.header["date"]) - email.utils.mktime_tz(email.utils.parsedate_tz(email.utils.formatdate()))) < 300
        boundary = re.search('boundary="(.*)"', self.header["content-type"]).group(1).encode()
        pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
        assert len(pieces) == 5 and pieces[4] == b"--\r\n" and all(piece.startswith(b"\r\n") for piece in pieces[1:4]), "three parts and an end"
        self.kinds, parts = [], []
        is_8bit = False
        for piece, kinds in zip(pieces[1:4], PARTS):
            part_header, _, part = piece[2:].partition(b"\r\n\r\n")
            told = dict(fields(part_header))
            kind = told["content-type"].partition(";")[0]
            assert kind in kinds and set(told) <= {"content-type", "content-description", "content-transfer-encoding"}, told
            encoding = told.get("content-transfer-encoding", "7bit")
            assert encoding in ("7bit", "8bit", "quoted-printable", "base64") and (encoding == "8bit" or part.isascii()), encoding
            assert encoding in ("7bit", "8bit") or kind == "text/plain", "RFC 2046 section 5.2.1, RFC 6522 section 3"
            is_8bit = is_8bit or not part.isascii()
            part = {"quoted-printable": quopri.decodestring, "base64": base64.b64decode}.get(encoding, bytes)(part)
            self.kinds.append(kind)
            parts.append((told["content-type"], part))
        assert self.header.get("content-transfer-encoding") == "8bit" or not is_8bit
        self.words = parts[0][1].decode(re.search("charset=([a-z0-9-]+)", parts[0][0]).group(1))
        self.original = parts[2][1]
        self._read_report(parts[1][1], "global" in self.kinds[1])

    def _read_report(self, report, is_global):
        assert report.endswith(b"\r\n") and not report.endswith(b"\r\n\r\n")
        assert is_global or report.isascii()
        groups = report[:-2].split(b"\r\n\r\n")
        self.message = checked(groups[0], PER_MESSAGE, MAY_MESSAGE)
        self.recipients = [checked(group, PER_RECIPIENT, MAY_RECIPIENT) for group in groups[1:]]
        assert self.recipients
        for r in self.recipients:
            assert r["status"][0] in CLASSES[r["action"]], r
            assert ("will-retry-until" in r) <= (r["action"] == "delayed"), r
            assert ("remote-mta" in r) <= ("diagnostic-code" in r), "a host that said nothing"
            if "last-attempt-date" in r:
                assert when(self.message["arrival-date"]) <= when(r["last-attempt-date"]) + 1
            if "will-retry-until" in r:
                assert when(r["will-retry-until"]) >= when(r["last-attempt-date"])

    def of(self, recipient):
        found, = [r for r in self.recipients if r["final-recipient"].partition("; ")[2] == recipient]
        return found
