"""
A real OpenSMTPD that takes mail for any domain and keeps each copy as one file. Debian 12's (6.8.0p2, built with OpenSSL 3)
offers STARTTLS and then fails every handshake: a well-known fault of that package, and a fine test of whoever sends to it.
"""

import os
import shutil

from . import paths, ports
from .mailbox import MailboxServer
from .private_host import dress
from .process import Process

_CONF = """\
{pki}
table everybody {{ "@" = "nobody" }}
listen on lo inet4 port {port} hostname {name}.test {options}
action "keep" maildir "{folder}/mail" virtual <everybody> user nobody
match from any for any action "keep"
"""


class OpenSmtpd(MailboxServer):
    """certificate: PEM with chain and key: STARTTLS is offered, and fails. It listens on 127.0.0.1."""

    host = "127.0.0.1"

    def __init__(self, name="opensmtpd", port=None, certificate=None):
        self.name, self.port = name, port or ports.free_port()
        self.folder = paths.scratch("opensmtpd")
        self.mailbox = os.path.join(self.folder, "mail")
        options, pki, etc = "", "", {"mailname": f"{name}.test\n"}
        if certificate:
            path = shutil.copy(certificate, os.path.join(self.folder, "certificate.pem"))
            os.chmod(path, 0o600)
            pki = f'pki own cert "{path}"\npki own key "{path}"'
            options = "tls pki own"
        os.mkdir(self.mailbox)
        os.chmod(self.mailbox, 0o777)
        etc["smtpd.conf"] = _CONF.format(pki=pki, port=self.port, name=name, options=options, folder=self.folder)
        directories = [("/var/lib/opensmtpd", "755", "root"), ("/var/lib/opensmtpd/empty", "755", "root"), ("/var/spool/smtpd", "711", "root")]
        argv = dress("opensmtpd", self.folder, ["/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf"], users=["opensmtpd", "opensmtpq"], directories=directories, etc=etc)
        self.process = Process(name, argv, os.path.join(self.folder, "opensmtpd.log"), env=dict(os.environ))
