"""
A private Postfix from the unpacked packages: a receiver with a Maildir, a client that relays to barid, or the
tuned one of the benchmark.
"""

import grp
import os
import pwd
import re
import shutil
import subprocess
import time

from . import paths, ports, wait
from .process import Process

_SERVICES = """\
{smtp} inet n - n - {processes} smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def _exists(lookup, name):
    try:
        return lookup(name)
    except KeyError:
        return None


def identities():
    """
    (mail_owner, setgid_group): Postfix's own where the host has them, else two that every Debian has. None is
    created.
    """
    owner = "postfix" if _exists(pwd.getpwnam, "postfix") else "mail"
    group = "postdrop" if _exists(grp.getgrnam, "postdrop") else "uucp"
    return owner, group


class Postfix:
    """
    settings: lines of main.cf as a dict. Needs root, as Postfix does. `host`:`port` is where its smtpd
    listens; `log_file` is its mail log. Use one of the three makers.
    """

    def __init__(self, name="postfix", settings=None, host="127.0.0.1", port=None, processes="-", base=""):
        self.name = name
        self.host = host
        self.port = port or ports.free_port()
        self.folder = paths.scratch("postfix")
        self.log_file = os.path.join(self.folder, "mail.log")
        self.mailbox = os.path.join(self.folder, "mail")
        self.settings = dict(settings or {})
        self.processes = processes
        self.base = base
        self.conf = os.path.join(self.folder, "conf")
        self.env = paths.peer_environment(MAIL_CONFIG=self.conf, SASL_PATH=paths.sasl_path())
        self.process = Process(name, [paths.peer("master"), "-c", self.conf, "-d"],
                               os.path.join(self.folder, "master.log"), env=self.env, cwd=self.folder)

    @classmethod
    def receiver(cls, domains="static:all", name="postfix-receiver", **more):
        """Takes mail for `domains` (a list; default any) and keeps each copy as one file; see messages()."""
        settings = more.pop("settings", {})
        return cls(name=name, settings={
            "virtual_mailbox_domains": domains if isinstance(domains, str) else " ".join(domains),
            "virtual_mailbox_maps": "static:all/", **settings}, **more)

    @classmethod
    def client(cls, relay_host, relay_port, name="postfix-client", **more):
        """Relays whatever it is given to relay_host:relay_port."""
        settings = more.pop("settings", {})
        return cls(name=name, settings={
            "relayhost": f"[{relay_host}]:{relay_port}", "disable_dns_lookups": "yes",
            "smtp_dns_support_level": "disabled", "minimal_backoff_time": "1s", "maximal_backoff_time": "2s",
            "queue_run_delay": "1s", **settings}, **more)

    @classmethod
    def tuned(cls, sink_port, **more):
        """The relay barid is measured against: postfix-tuned.main.cf, 200 smtpd."""
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "postfix-tuned.main.cf")) as text:
            base = text.read()
        return cls(name="postfix-tuned", base=base.replace("@SINKPORT@", str(sink_port)), processes="200",
                   **more)

    def _main_cf(self):
        owner, group = identities()
        uid, gid = pwd.getpwnam(owner).pw_uid, pwd.getpwnam(owner).pw_gid
        root = paths.PEER_ROOT
        own = {
            "compatibility_level": "3.6", "queue_directory": f"{self.folder}/spool",
            "data_directory": f"{self.folder}/data", "command_directory": f"{root}/usr/sbin",
            "daemon_directory": f"{root}/usr/lib/postfix/sbin",
            "shlib_directory": f"{root}/usr/lib/postfix", "meta_directory": self.conf,
            "import_environment": "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH",
            "maillog_file": self.log_file, "maillog_file_prefixes": self.folder, "mail_owner": owner,
            "setgid_group": group, "default_privs": "nobody", "inet_interfaces": self.host,
            "inet_protocols": "ipv4", "mynetworks": "127.0.0.0/8",
            "smtpd_peername_lookup": "no", "alias_maps": "", "alias_database": "", "local_recipient_maps": "",
        }
        defaults = {
            "myhostname": f"{self.name}.test", "mydestination": "", "smtpd_tls_security_level": "none",
            "smtp_tls_security_level": "none", "virtual_mailbox_base": self.mailbox,
            "virtual_minimum_uid": "1", "virtual_uid_maps": f"static:{uid}",
            "virtual_gid_maps": f"static:{gid}",
            "message_size_limit": "104857600", "mailbox_size_limit": "0", "virtual_mailbox_limit": "0",
            "smtpd_client_connection_count_limit": "0",
        }
        lines = dict(own)
        if self.base:
            for line in self.base.replace("@DIR@", self.folder).splitlines():
                if line and not line.startswith("#"):
                    key, value = line.split("=", 1)
                    lines[key.strip()] = value.strip()
            lines.update(own)
        else:
            lines.update(defaults)
        lines.update(self.settings)
        return "".join(f"{key} = {value}\n" for key, value in lines.items())

    def _lay_out(self):
        owner, group = identities()
        uid, gid = pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
        spool = os.path.join(self.folder, "spool")

        def folder(path, mode, user=0, group_id=0):
            os.makedirs(path, exist_ok=True)
            os.chown(path, user, group_id)
            os.chmod(path, mode)

        folder(self.conf, 0o755)
        folder(spool, 0o755)
        for name in "incoming active bounce corrupt defer deferred flush hold saved trace private".split():
            folder(os.path.join(spool, name), 0o700, uid)
        folder(os.path.join(spool, "pid"), 0o755)
        folder(os.path.join(spool, "maildrop"), 0o1730, uid, gid)
        folder(os.path.join(spool, "public"), 0o710, uid, gid)
        folder(os.path.join(self.folder, "data"), 0o700, uid)
        folder(self.mailbox, 0o700, uid, pwd.getpwnam(owner).pw_gid)
        with open(os.path.join(self.conf, "main.cf"), "w") as main:
            main.write(self._main_cf())
        with open(os.path.join(self.conf, "master.cf"), "w") as master:
            master.write(_SERVICES.format(smtp=f"{self.host}:{self.port}", processes=self.processes))
        # Postfix waits until main.cf is a few seconds old, lest somebody is still writing it.
        os.utime(os.path.join(self.conf, "main.cf"), (1, 1))

    def start(self, timeout=20):
        self._lay_out()
        self.process.start()
        self.process.wait_until(lambda: ports.accepts(self.port, self.host), timeout, f"{self.name} listens")
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self):
        """Ends master, and its children with it."""
        self.process.end()

    @property
    def pid(self):
        return self.process.pid

    def log_text(self):
        try:
            with open(self.log_file, encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def wait_log(self, pattern, timeout=20):
        regex = re.compile(pattern, re.MULTILINE)
        return self.process.wait_until(
            lambda: regex.search(self.log_text()), timeout,
            f"/{pattern}/ in the mail log:\n{self.log_text()[-3000:]}")

    def messages(self):
        """
        The copies received so far, as bytes. Postfix puts Return-Path, X-Original-To and Delivered-To on top.
        """
        folder = os.path.join(self.mailbox, "all", "new")
        found = []
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), "rb") as message:
                found.append(message.read())
        return found

    def wait_messages(self, count, timeout=30):
        """Waits until at least `count` copies are there; returns all."""
        wait.until(lambda: len(self.messages()) >= count, timeout,
                   lambda: f"{count} copies, there are {len(self.messages())}\n{self.log_text()[-3000:]}")
        return self.messages()

    def queue_size(self):
        """Messages in its own queue."""
        spool = os.path.join(self.folder, "spool")
        return sum(len(files) for name in ("maildrop", "incoming", "active", "deferred", "hold")
                   for _, _, files in os.walk(os.path.join(spool, name)))


def smtp_source(port, host="127.0.0.1", count=1, sessions=1, size=4096, sender="source@origin.test",
                recipient="sink@sink.test", once=False, recipients=1, timeout=120, arguments=()):
    """
    Sends `count` messages of `size` bytes with Postfix's smtp-source; raises on any refusal. once: one
    message per connection, which is smtp-source's own habit; otherwise connections are reused. Returns the
    seconds it took.
    """
    argv = [paths.peer("smtp-source"), "-s", sessions, "-m", count, "-l", size, "-f", sender, "-t", recipient,
            "-4"]
    if not once:
        argv.append("-d")
    if recipients > 1:
        argv += ["-r", recipients]
    argv += [*arguments, f"inet:{host}:{port}"]
    return run_timed(argv, timeout)


def run_timed(argv, timeout):
    """
    Runs a peer's client program to its end and returns how long it took; its output is in the exception when
    it fails.
    """
    began = time.monotonic()
    done = subprocess.run([str(arg) for arg in argv], env=paths.peer_environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=timeout, check=False)
    if done.returncode != 0:
        raise AssertionError(
            f"{argv[0]} ended with {done.returncode}: {done.stdout.decode('utf-8', 'replace')[-2000:]}")
    return time.monotonic() - began


class SmtpSink:
    """Postfix's smtp-sink: fast, keeps nothing. arguments: more of its options, e.g. ("-q", "rcpt")."""

    def __init__(self, port=None, host="127.0.0.1", backlog=500, arguments=(), name="smtp-sink"):
        self.host, self.port = host, port or ports.free_port()
        self.folder = paths.scratch("smtp-sink")
        user = ("-u", identities()[0]) if os.geteuid() == 0 else ()
        argv = [paths.peer("smtp-sink"), "-4", *user, *arguments, f"inet:{host}:{self.port}", backlog]
        self.process = Process(name, argv, os.path.join(self.folder, "sink.log"),
                               env=paths.peer_environment(),
                               cwd=self.folder)

    def start(self, timeout=10):
        self.process.start()
        self.process.wait_until(lambda: ports.accepts(self.port, self.host), timeout, "smtp-sink listens")
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.process.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self):
        return self.process.pid
