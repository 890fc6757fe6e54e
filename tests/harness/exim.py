"""A real Exim that takes mail for any domain and keeps each copy as one file."""

import os
import shutil

from . import paths, ports
from .mailbox import MailboxServer
from .private_host import dress
from .process import Process

_CONF = """\
primary_hostname = {name}.test
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
pid_file_path = {folder}/exim.pid
exim_user = Debian-exim
exim_group = Debian-exim
never_users =
daemon_smtp_ports = {port}
local_interfaces = {host}
disable_ipv6 = true
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
acl_smtp_rcpt = rcpt
dsn_advertise_hosts = *
chunking_advertise_hosts = *
pipelining_connect_advertise_hosts =
tls_advertise_hosts = {tls_hosts}
tls_certificate = {certificate}
tls_privatekey = {certificate}
smtp_accept_max = 0
smtp_accept_queue_per_connection = 0
{settings}

begin acl
rcpt:
  deny  local_parts = refused
        message = no such mailbox
  defer local_parts = later
        message = try again later
  accept

begin routers
everybody:
  driver = accept
  transport = keep

begin transports
keep:
  driver = appendfile
  directory = {folder}/mail
  maildir_format
  create_directory
  user = Debian-exim
  delivery_date_add
  envelope_to_add
  return_path_add

begin authenticators
{authenticators}
"""

_AUTHENTICATORS = """\
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if and {{ {{eq{{$auth2}}{{{user}}}}} {{eq{{$auth3}}{{{password}}}}} }}}}
  server_set_id = $auth2
  server_advertise_condition = yes
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_condition = ${{if and {{ {{eq{{$auth1}}{{{user}}}}} {{eq{{$auth2}}{{{password}}}}} }}}}
  server_set_id = $auth1
  server_advertise_condition = yes
"""


class Exim(MailboxServer):
    """certificate: PEM with chain and key, for STARTTLS. login: (user, password) it knows. settings: more lines of its main part."""

    def __init__(self, name="exim", host="127.0.0.1", port=None, certificate=None, login=None, settings=""):
        self.name, self.host, self.port = name, host, port or ports.free_port()
        self.folder = paths.scratch("exim")
        self.mailbox = os.path.join(self.folder, "mail")
        conf = os.path.join(self.folder, "exim.conf")
        authenticators = _AUTHENTICATORS.format(user=login[0], password=login[1]) if login else ""
        if certificate:  # it reads the file as its own user
            certificate = shutil.copy(certificate, os.path.join(self.folder, "certificate.pem"))
            os.chmod(certificate, 0o644)
        with open(conf, "w") as file:
            file.write(_CONF.format(name=name, folder=self.folder, host=host, port=self.port, settings=settings, authenticators=authenticators,
                                    tls_hosts="*" if certificate else "", certificate=certificate or ""))
        with open(conf) as file:
            text = file.read()
        for private in ("spool", "mail"):
            os.mkdir(os.path.join(self.folder, private))
            os.chmod(os.path.join(self.folder, private), 0o777)
        os.chmod(self.folder, 0o777)
        argv = dress("exim4-daemon-light", self.folder, ["/usr/sbin/exim4", "-bdf", "-q1m"], users=["Debian-exim"], etc={"exim4/exim4.conf": text})
        self.process = Process(name, argv, os.path.join(self.folder, "exim.log"), env=dict(os.environ))

    def log_text(self):
        """Its main log."""
        try:
            with open(os.path.join(self.folder, "mainlog"), encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""
