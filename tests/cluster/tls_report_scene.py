"""
A cluster that reports about TLS, on top of sts_scene: domains say where they want reports, the operator's hand makes reports due (what time does
otherwise), and reports are read back as others would: by email, gzip and json, and held against the fields of RFC 8460.
"""

import email
import email.policy
import gzip
import http.server
import json
import re
import ssl
import threading
from contextlib import contextmanager

from sts_scene import sts_scene

from harness import wait
from harness.cluster import merged

DUE = "barid:{c}:tlsrpt:due"
OF = "barid:{c}:tlsrpt:of:"
CONTACT = "tls@barid.test"
SETTINGS = {"tlsrpt": {"contact": CONTACT, "organization": "Barid & Söhne", "interval": "100ms", "https_retry": "200ms"}}
RESULTS = {"starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted", "validation-failure",
           "tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"}


def only(fields, needed, allowed=()):
    assert set(needed) <= set(fields) <= set(needed) | set(allowed), fields


def check_json(report, domain, day):
    """All that RFC 8460 section 4.4 asks for, and nothing else."""
    only(report, ["organization-name", "date-range", "contact-info", "report-id", "policies"])
    assert report["organization-name"] == "Barid & Söhne" and report["contact-info"] == CONTACT
    assert report["date-range"] == {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"}
    assert report["policies"]
    for entry in report["policies"]:
        only(entry, ["policy", "summary"], ["failure-details"])
        policy, summary = entry["policy"], entry["summary"]
        only(policy, ["policy-type", "policy-domain"], ["policy-string", "mx-host"])
        assert policy["policy-type"] in ("tlsa", "sts", "no-policy-found")
        assert policy["policy-domain"] == domain or policy["policy-type"] == "tlsa"
        for lines in (policy.get("policy-string", ["x"]), policy.get("mx-host", ["x"])):
            assert isinstance(lines, list) and lines and all(isinstance(line, str) and line for line in lines)
        only(summary, ["total-successful-session-count", "total-failure-session-count"])
        assert all(isinstance(count, int) and count >= 0 for count in summary.values())
        details = entry.get("failure-details", [])
        for failure in details:
            only(failure, ["result-type", "failed-session-count"],
                 ["sending-mta-ip", "receiving-mx-hostname", "receiving-ip", "failure-reason-code"])
            assert failure["result-type"] in RESULTS
        assert sum(failure["failed-session-count"] for failure in details) == summary["total-failure-session-count"]
    return report


class Mail:
    """The mail of a report, checked as it is read (RFC 8460 section 5)."""

    def __init__(self, transaction):
        self.transaction = transaction
        self.message = email.message_from_bytes(transaction.content, policy=email.policy.SMTP)
        message = self.message
        assert transaction.sender == "" and not message.defects
        assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "tlsrpt"
        assert message["TLS-Required"] == "No" and message["Auto-Submitted"] == "auto-generated" and message["From"] == CONTACT
        self.domain, submitter = message["TLS-Report-Domain"], message["TLS-Report-Submitter"]
        assert submitter == "barid.test" and message["Date"]
        words, attached = message.get_payload()
        assert words.get_content_type() == "text/plain" and self.domain in words.get_content() and CONTACT in words.get_content()
        assert "Barid & Söhne" in words.get_content()
        assert attached.get_content_type() == "application/tlsrpt+gzip"
        self.report = json.loads(gzip.decompress(attached.get_payload(decode=True)))
        self.day = self.report["date-range"]["start-datetime"][:10]
        check_json(self.report, self.domain, self.day)
        name = re.fullmatch(r"([^!]+)!([^!]+)!(\d+)!(\d+)!([^!.]+)\.json\.gz", attached.get_filename())
        assert name.group(1, 2, 5) == (submitter, self.domain, self.report["report-id"])
        assert int(name.group(3)) % 86400 == 0 and int(name.group(4)) == int(name.group(3)) + 86399
        unique = f"<{self.report['report-id']}@{submitter}>"
        assert message["Message-ID"] == unique
        assert message["Subject"] == f"Report Domain: {self.domain} Submitter: {submitter} Report-ID: {unique}"


class Counts:
    """What a report says, in short."""

    def __init__(self, report):
        self.report = report

    def of(self, kind):
        """(good, bad) of the policies of this type."""
        found = [entry["summary"] for entry in self.report["policies"] if entry["policy"]["policy-type"] == kind]
        return (sum(one["total-successful-session-count"] for one in found), sum(one["total-failure-session-count"] for one in found))

    def failures(self):
        """{result: count}"""
        found = {}
        for entry in self.report["policies"]:
            for failure in entry.get("failure-details", []):
                found[failure["result-type"]] = found.get(failure["result-type"], 0) + failure["failed-session-count"]
        return found

    def details(self, result):
        return [failure for entry in self.report["policies"] for failure in entry.get("failure-details", []) if failure["result-type"] == result]


class ReportHost:
    """Takes reports by https: .posted is a list of (path, content type, report). refuse: so many are answered 503. gate: an Event each waits for."""

    def __init__(self, authority, name):
        self.posted, self.refuse, self.gate, self.asked = [], 0, None, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked += 1
                if outer.gate:
                    outer.gate.wait(60)
                outer.refuse -= 1
                if outer.refuse >= 0:
                    self.send_error(503)
                    return
                outer.posted.append((self.path, self.headers["Content-Type"], json.loads(gzip.decompress(body))))
                self.send_response(201)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.issue(name))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://{name}:{self.server.server_port}/in"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Reports:
    """post: as sts_scene gives it."""

    def __init__(self, post):
        self.post, self.sink = post, post.sink
        self.redis = post.cluster.redis.client(decode_responses=True)

    def want(self, place, rua=None):
        """The domain asks for reports."""
        self.post.dns.zone.txt(f"_smtp._tls.{place.domain}", f"v=TLSRPTv1; rua={rua or 'mailto:' + self.address(place)}")
        return place

    @staticmethod
    def address(place):
        return f"tls-{place.domain}@origin.test"

    def name(self, place):
        """Of its report in Redis; waits for it."""
        def found():
            return next((name for name in self.redis.zrange(DUE, 0, -1) if name.endswith(" " + place.domain)), None)
        return wait.until(found, 20, f"counts of {place.domain}")

    def counted(self, place):
        """(good, bad) as Redis has it."""
        rows = self.redis.hgetall(OF + self.name(place))
        return tuple(sum(int(n) for field, n in rows.items() if field[0] == kind) for kind in "SF")

    def wait_counted(self, place, good, bad=0):
        wait.until(lambda: self.counted(place) == (good, bad), 20, lambda: f"{(good, bad)} of {place.domain}, not {self.counted(place)}")

    def make_due(self, place):
        """As time does."""
        name = self.name(place)
        self.redis.zadd(DUE, {name: 1}, xx=True)
        return name

    def mails(self, place):
        return [t for t in self.sink.taken() if self.address(place) in t.recipients]

    def wait_mail(self, place):
        return Mail(wait.until(lambda: next(iter(self.mails(place)), None), 30, f"a report about {place.domain}"))

    def wait_done(self, name):
        wait.until(lambda: self.redis.hexists(OF + name, ".done") and self.redis.zscore(DUE, name) is None, 30, f"the end of {name}")

    def one_by_one(self, place, count, **more):
        """Letters, each over a connection of its own."""
        for _ in range(count):
            letter = self.post.send(place.address(), **more)
            self.post.wait_delivered(letter)
            self.post.wait_closed(place)


@contextmanager
def report_scene(folder, count, couriers=2, settings=None, **more):
    with sts_scene(folder, count, couriers=couriers, settings=merged(SETTINGS, settings), **more) as post:
        yield Reports(post)
