"""
Real DNS for the tests: a zone, knot that is authoritative for it, unbound in front; and a scripted server for
what real ones never say.
"""

import os
import shutil
import socket
import struct
import threading
import time

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from . import paths, ports, wait
from .process import Process


def _fqdn(name):
    return name if name.endswith(".") else name + "."


class Zone:
    """
    All names of a test in one root zone. Each maker returns the zone; names may be given without the final
    dot. is_signed: knot signs it, and unbound validates; .unsigned() and .bogus() cut zones off that are not so.
    """

    def __init__(self, ttl=60, is_signed=False):
        self.ttl = ttl
        self.is_signed = is_signed
        self.serial = 100
        self.cuts = {}  # name -> is_signed
        self._records = {}

    def record(self, owner, kind, data, ttl=None):
        self._records.setdefault((_fqdn(owner).lower(), kind.upper()), []).append((self.ttl if ttl is None else ttl, data))
        return self

    def mx(self, domain, *hosts):
        """hosts: names, of rising preference, or (preference, name) pairs."""
        for place, host in enumerate(hosts):
            preference, name = host if isinstance(host, tuple) else (10 * (place + 1), host)
            self.record(domain, "MX", f"{preference} {_fqdn(name)}")
        return self

    def null_mx(self, domain):
        return self.record(domain, "MX", "0 .")

    def a(self, name, *addresses):
        for address in addresses:
            self.record(name, "A", address)
        return self

    def aaaa(self, name, *addresses):
        for address in addresses:
            self.record(name, "AAAA", address)
        return self

    def cname(self, name, target):
        return self.record(name, "CNAME", _fqdn(target))

    def txt(self, name, text):
        return self.record(name, "TXT", '"' + text.replace('"', '\\"') + '"')

    def tlsa(self, host, *records, port=25, ttl=None):
        """records: (usage, selector, matching, data as hexadecimal)."""
        for usage, selector, matching, data in records:
            self.record(f"_{port}._tcp.{host}", "TLSA", f"{usage} {selector} {matching} {data}", ttl)
        return self

    def unsigned(self, name):
        """This name and all below it are in a zone that is not signed."""
        self.cuts[_fqdn(name).lower()] = False
        return self

    def bogus(self, name):
        """This name and all below it are in a zone whose signatures are not by the key that its parent vouches for."""
        self.cuts[_fqdn(name).lower()] = True
        return self

    def remove(self, owner, kind=None):
        for key in [k for k in self._records if k[0] == _fqdn(owner).lower() and kind in (None, k[1])]:
            del self._records[key]
        return self

    def _apex_of(self, owner):
        above = [cut for cut in self.cuts if owner == cut or owner.endswith("." + cut)]
        return max(above, key=len, default=".")

    def text(self, apex="."):
        lines = [f"{apex} {self.ttl} SOA ns.root. hostmaster.root. {self.serial} 3600 600 86400 1",
                 f"{apex} {self.ttl} NS ns.root."]
        if apex == ".":
            lines.append(f"ns.root. {self.ttl} A 127.0.0.1")
        for cut, is_signed in self.cuts.items():
            if cut != apex and self._apex_of(cut.partition(".")[2] or ".") == apex:
                lines.append(f"{cut} {self.ttl} NS ns.root.")
                if is_signed:
                    lines.append(f"{cut} {self.ttl} DS 12345 13 2 {'00' * 32}")
        for (owner, kind), values in self._records.items():
            if self._apex_of(owner) == apex:
                lines += [f"{owner} {ttl} {kind} {data}" for ttl, data in values]
        return "\n".join(lines) + "\n"

    def lookup(self, owner, kind):
        """[(ttl, data)] of exactly that name and type."""
        return self._records.get((_fqdn(owner).lower(), kind.upper()), [])

    def has_name(self, owner):
        return any(name == _fqdn(owner).lower() for name, _ in self._records)


def query(port, name, kind="A", host="127.0.0.1", timeout=3.0, tcp=False):
    """Asks a server; returns dnspython's message."""
    question = dns.message.make_query(_fqdn(name), kind)
    question.flags |= dns.flags.RD | dns.flags.AD
    ask = dns.query.tcp if tcp else dns.query.udp
    return ask(question, host, port=port, timeout=timeout)


def answers(port, name, kind="A", timeout=3.0, host="127.0.0.1"):
    """The rdata texts of the answer, sorted."""
    reply = query(port, name, kind, host, timeout=timeout)
    wanted = dns.rdatatype.from_text(kind)
    return sorted(str(rdata) for rrset in reply.answer if rrset.rdtype == wanted for rdata in rrset)


_KNOT = """\
server:
    rundir: {folder}
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stdout
    any: info
database:
    storage: {folder}
    journal-db-max-size: 16M
    kasp-db-max-size: 16M
    timer-db-max-size: 1M
    catalog-db-max-size: 16M
template:
  - id: default
    storage: {folder}
    file: root.zone
    zonefile-load: whole
    journal-content: none
    zonefile-sync: -1
{policy}zone:
{zones}"""

_KNOT_POLICY = """\
policy:
  - id: signed
    algorithm: ecdsap256sha256
    single-type-signing: on
"""

# unbound answers for these names by itself, unless told not to.
_BUILT_IN = ("test.", "invalid.", "localhost.", "127.in-addr.arpa.", "10.in-addr.arpa.",
             "168.192.in-addr.arpa.", "home.arpa.")

_UNBOUND = """\
server:
    directory: "{folder}"
    chroot: ""
    username: ""
    pidfile: "{folder}/unbound.pid"
    use-syslog: no
    do-daemonize: no
    verbosity: 1
    num-threads: 1
    interface: {ip}@{port}
    do-ip6: no
    access-control: 0.0.0.0/0 allow
    do-not-query-localhost: no
    module-config: "{modules}"
    root-hints: ""
    minimal-responses: yes
    qname-minimisation: no
    cache-max-ttl: {cache_max_ttl}
    cache-max-negative-ttl: {cache_max_ttl}
{anchor}{local_zones}
{stubs}
"""


class Dns:
    """
    knot with `zone` behind unbound. `.port` is the resolver's on 127.0.0.1, `.authority_port` knot's. others:
    {"broken.test": port} sends questions below a name to another server on loopback, e.g. a ScriptedDns.
    A signed zone's key is unbound's trust anchor. host: of network.py; `.address` is the resolver's there. .unbound may be killed, and started again, at any time.
    """

    def __init__(self, zone=None, others=None, cache_max_ttl=86400, host=None):
        self.zone, self.host = zone or Zone(), host
        self.ip = host.ip if host else "127.0.0.1"
        self.folder = paths.scratch("dns")
        self.port, self.authority_port = ports.free_port(), ports.free_port()
        self.others = dict(others or {})
        self.cache_max_ttl = cache_max_ttl
        env = paths.peer_environment()
        self.knot = Process("knot", [paths.peer("knotd"), "-c", f"{self.folder}/knot.conf"],
                            f"{self.folder}/knot.log", env=env, cwd=self.folder, host=host)
        self.unbound = Process("unbound",
                               [paths.peer("unbound"), "-d", "-p", "-c", f"{self.folder}/unbound.conf"],
                               f"{self.folder}/unbound.log", env=env, cwd=self.folder, host=host)

    @property
    def address(self):
        return f"{self.ip}:{self.port}"

    def _answers(self, ip, port, name, kind, timeout=3.0):
        return self.host.call(answers, port, name, kind, timeout, ip) if self.host else answers(port, name, kind, timeout, ip)

    def _write(self, name, text):
        fresh = os.path.join(self.folder, name + ".new")
        with open(fresh, "w") as file:
            file.write(text)
        os.replace(fresh, os.path.join(self.folder, name))

    def _stub(self, name, port):
        return f'stub-zone:\n    name: "{_fqdn(name)}"\n    stub-addr: 127.0.0.1@{port}\n'

    def _write_zones(self):
        for number, apex in enumerate([".", *self.zone.cuts]):
            self._write(f"{number}.zone" if number else "root.zone", self.zone.text(apex))

    def _knot_zones(self):
        lines = []
        for number, apex in enumerate([".", *self.zone.cuts]):
            lines.append(f"  - domain: {apex}\n    file: {number or 'root'}.zone\n")
            if self.zone.is_signed if apex == "." else self.zone.cuts[apex]:
                lines.append("    dnssec-signing: on\n    dnssec-policy: signed\n")
        return "".join(lines)

    def _anchor(self):
        if not self.zone.is_signed:
            return ""
        return "".join(f'    trust-anchor: ". 60 IN DNSKEY {key}"\n' for key in self._answers("127.0.0.1", self.authority_port, ".", "DNSKEY"))

    def start(self, timeout=15):
        self._write_zones()
        self._write("knot.conf", _KNOT.format(folder=self.folder, port=self.authority_port, zones=self._knot_zones(),
                                              policy=_KNOT_POLICY if self.zone.is_signed else ""))
        self.knot.start()
        self._wait_serial(self.knot, self.authority_port, timeout, *self.zone.cuts)
        stubs = [self._stub(name, port) for name, port in [
            *((name, self.authority_port) for name in [".", *self.zone.cuts]), *self.others.items()]]
        self._write("unbound.conf", _UNBOUND.format(
            folder=self.folder, ip=self.ip, port=self.port, cache_max_ttl=self.cache_max_ttl, stubs="".join(stubs), anchor=self._anchor(),
            modules="validator iterator" if self.zone.is_signed else "iterator",
            local_zones="".join(f'    local-zone: "{name}" nodefault\n' for name in _BUILT_IN)))
        self.start_unbound(timeout)
        return self

    def start_unbound(self, timeout=15):
        """Also after it was killed."""
        self.unbound.start()
        self._wait_serial(self.unbound, self.port, timeout)

    def restart(self, timeout=15):
        """For what reload() does not see: another cut of the zone, or a cut that is signed now, or not any more."""
        self.stop()
        self.zone.serial += 100
        self.start(timeout)

    def _has_serial(self, port, apex):
        step = 100 if self.zone.is_signed else 1  # each signing counts, too
        try:
            soa, = self._answers(self.ip if port == self.port else "127.0.0.1", port, apex, "SOA", timeout=0.2)
            return int(soa.split()[2]) // step == self.zone.serial // step
        except (dns.exception.DNSException, OSError, ValueError):
            return False

    def _wait_serial(self, process, port, timeout, *apexes):
        process.wait_until(lambda: all(self._has_serial(port, apex) for apex in (".", *apexes)), timeout,
                           f"{process.name} answers with serial {self.zone.serial}")

    def reload(self, timeout=15):
        """Makes changes of the zone known, and unbound forget what it has cached."""
        self.zone.serial += 100 if self.zone.is_signed else 1
        self._write_zones()
        self.knot.signal(1)
        self._wait_serial(self.knot, self.authority_port, timeout, *self.zone.cuts)
        self.unbound.signal(1)
        self._wait_serial(self.unbound, self.port, timeout)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self):
        self.unbound.end()
        self.knot.end()


class ScriptedDns:
    """
    Answers from `zone`, unless on(name, kind, action) says otherwise; kind "ANY" stands for every type.
    Actions are made by the functions below. `.port` on 127.0.0.1, UDP and TCP; `.queries` is a list of (time,
    transport, name, kind).
    """

    def __init__(self, zone=None):
        self.zone = zone or Zone()
        self.port = ports.free_port()
        self.queries = []
        self._rules = {}
        self._sockets = []
        self._stopping = False

    def on(self, name, kind, action):
        self._rules[(_fqdn(name).lower(), kind.upper())] = action
        return self

    def clear(self, name, kind):
        self._rules.pop((_fqdn(name).lower(), kind.upper()), None)

    def count(self, name, kind=None):
        """How often a name was asked for."""
        return sum(1 for _, _, n, k in list(self.queries) if n == _fqdn(name).lower() and kind in (None, k))

    def __enter__(self):
        return self.start()

    def start(self):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", self.port))
        tcp = socket.create_server(("127.0.0.1", self.port), backlog=100)
        self._sockets = [udp, tcp]
        for target, sock in ((self._serve_udp, udp), (self._serve_tcp, tcp)):
            threading.Thread(target=target, args=(sock,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stopping = True
        for sock in self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _serve_udp(self, sock):
        while not self._stopping:
            try:
                wire, peer = sock.recvfrom(4096)
            except OSError:
                return
            self._answer(wire, "udp", lambda reply, peer=peer: sock.sendto(reply, peer))

    def _serve_tcp(self, sock):
        while not self._stopping:
            try:
                connection, _ = sock.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection):
        with connection, connection.makefile("rb") as stream:
            while True:
                head = stream.read(2)
                if len(head) < 2:
                    return
                wire = stream.read(struct.unpack("!H", head)[0])
                self._answer(wire, "tcp",
                             lambda reply: connection.sendall(struct.pack("!H", len(reply)) + reply))

    def _answer(self, wire, transport, send):
        try:
            question = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return
        name = str(question.question[0].name).lower()
        kind = dns.rdatatype.to_text(question.question[0].rdtype)
        self.queries.append((time.time(), transport, name, kind))
        action = self._rules.get((name, kind)) or self._rules.get((name, "ANY")) or from_zone()
        threading.Thread(target=self._act, args=(action, question, name, kind, transport, send),
                         daemon=True).start()

    def _act(self, action, question, name, kind, transport, send):
        reply = action(self, question, name, kind, transport)
        if reply is None:
            return
        try:
            send(reply if isinstance(reply, bytes) else reply.to_wire(max_size=65535))
        except OSError:
            pass


def _reply(question):
    reply = dns.message.make_response(question, recursion_available=True)
    reply.flags |= dns.flags.AA
    return reply


def from_zone():
    """What the zone holds, with CNAMEs followed; NXDOMAIN for names it has not."""
    def act(server, question, name, kind, _transport):
        reply = _reply(question)
        for _ in range(9):
            target = server.zone.lookup(name, "CNAME") if kind != "CNAME" else []
            found = target or server.zone.lookup(name, kind)
            if found:
                shown = "CNAME" if target else kind
                reply.answer.append(dns.rrset.from_text(dns.name.from_text(name), found[0][0], "IN", shown,
                                                        *[data for _, data in found]))
            if not target:
                break
            name = target[0][1].lower()
        if not reply.answer and not server.zone.has_name(name):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply
    return act


def rcode(name):
    """SERVFAIL, REFUSED, FORMERR, NXDOMAIN, ..."""
    def act(_server, question, *_):
        reply = _reply(question)
        reply.set_rcode(dns.rcode.from_text(name))
        return reply
    return act


def silence():
    """No answer at all."""
    return lambda *_: None


def delayed(seconds, then=None):
    """The answer of `then` (default: the zone's), late."""
    def act(*args):
        threading.Event().wait(seconds)
        return (then or from_zone())(*args)
    return act


def truncated(then=None):
    """TC over UDP, the answer over TCP."""
    def act(server, question, name, kind, transport):
        if transport == "tcp":
            return (then or from_zone())(server, question, name, kind, transport)
        reply = _reply(question)
        reply.flags |= dns.flags.TC
        return reply
    return act


def wrong_id(then=None):
    """The right answer to another question's id."""
    def act(*args):
        wire = bytearray((then or from_zone())(*args).to_wire())
        wire[1] ^= 0x55
        return bytes(wire)
    return act


def garbage(rdata, kind=None, count=1):
    """An answer whose rdata are these bytes, whatever they mean for the type asked for."""
    def act(_server, question, name, asked, _transport):
        reply = _reply(question)
        number = int(dns.rdatatype.from_text(kind or asked))
        wire = bytearray(reply.to_wire())
        end = 12
        while wire[end]:
            end += wire[end] + 1
        end += 5
        one = struct.pack("!HHHIH", 0xC00C, number, 1, 60, len(rdata)) + rdata
        struct.pack_into("!HHH", wire, 6, count, 0, 0)
        return bytes(wire[:end]) + one * count
    return act


def forwarded(port, then=None):
    """The answer of the server at that port; then(message) may change it."""
    def act(_server, question, *_):
        reply = dns.query.tcp(question, "127.0.0.1", port=port, timeout=3)
        if then:
            then(reply)
        return reply
    return act


def tampered(port):
    """The same, each signature with a bit turned."""
    def change(reply):
        for rrset in [*reply.answer, *reply.authority]:
            if rrset.rdtype == dns.rdatatype.RRSIG:
                broken = [rdata.replace(signature=bytes([rdata.signature[0] ^ 1]) + rdata.signature[1:]) for rdata in rrset]
                rrset.clear()
                for rdata in broken:
                    rrset.add(rdata)
    return forwarded(port, change)


def raw(make):
    """make(question bytes) returns the bytes of the reply."""
    return lambda _server, question, *_: make(question.to_wire())
