"""
A real Dovecot that only authenticates: its auth service with a file of users, on a socket of its own; one made of Python, that lies; and a
real one that is a mail store, behind LMTP.
"""

import os
import shutil
import socket
import socketserver
import threading

from . import paths, ports, wait
from .mailbox import kept
from .private_host import dress
from .process import Process

_CONF = """\
base_dir = {folder}/run
libexec_dir = {root}/usr/lib/dovecot
log_path = /dev/stderr
protocols =
listen = 127.0.0.1
ssl = no
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
import_environment = LD_LIBRARY_PATH={libraries}
auth_mechanisms = plain login cram-md5 scram-sha-256
auth_failure_delay = 0
disable_plaintext_auth = no
auth_verbose = yes
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener auth-client {{
    mode = 0666
  }}
  user = root
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


class Dovecot:
    """users: {name: password}; names and passwords without colons. `socket` is where clients of its auth service connect."""

    def __init__(self, users):
        self.folder = paths.scratch("dovecot")
        self.socket = os.path.join(self.folder, "run", "auth-client")
        self.conf = os.path.join(self.folder, "dovecot.conf")
        modules = os.path.join(paths.PEER_ROOT, "usr/lib/dovecot/modules")
        libraries = ":".join([paths.library_path(), modules, os.path.join(modules, "old-stats"), os.path.join(modules, "auth")])
        with open(self.conf, "w") as file:
            file.write(_CONF.format(folder=self.folder, root=paths.PEER_ROOT, libraries=libraries))
        with open(os.path.join(self.folder, "users"), "w") as file:
            file.writelines(f"{name}:{{PLAIN}}{password}::::::\n" for name, password in users.items())
        # The program would look for doveconf where its package installs it: we begin with doveconf, which becomes the program.
        self.process = Process("dovecot", [paths.peer("doveconf"), "-f", "service=master", "-c", self.conf, "-m", "master", "-e", paths.peer("dovecot"),
                                           "-F", "-c", self.conf], os.path.join(self.folder, "dovecot.log"),
                               env=paths.peer_environment(LD_LIBRARY_PATH=libraries), cwd=self.folder)

    def start(self, timeout=20):
        self.process.start()
        self.process.wait_until(lambda: os.path.exists(self.socket), timeout, "Dovecot's auth service listens")
        return self

    def stop(self):
        self.process.end()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


_STORE_CONF = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
protocols = lmtp
listen = 127.0.0.1
ssl = no
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
mail_location = maildir:{folder}/mail/%u
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
first_valid_gid = 1
hostname = store.test
postmaster_address = postmaster@store.test
lda_mailbox_autocreate = yes
lmtp_save_to_detail_mailbox = no
recipient_delimiter = +
auth_username_format = %Lu
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {folder}/users
  override_fields = uid=nobody gid=nogroup home={folder}/mail/%u
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener {folder}/lmtp {{
    mode = 0666
  }}
}}
service auth {{
  unix_listener auth-userdb {{
    mode = 0666
  }}
  user = root
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


class DovecotStore:
    """users: addresses it keeps mail for; it refuses others. LMTP at 127.0.0.1:port, and at the unix socket `socket`."""

    def __init__(self, users):
        self.folder, self.port = paths.scratch("dovecot"), ports.free_port()
        self.socket = os.path.join(self.folder, "lmtp")
        self.conf = os.path.join(self.folder, "dovecot.conf")
        for name in ("mail", "state"):
            os.mkdir(os.path.join(self.folder, name))
            os.chmod(os.path.join(self.folder, name), 0o777)
        with open(self.conf, "w") as file:
            file.write(_STORE_CONF.format(folder=self.folder, port=self.port))
        with open(os.path.join(self.folder, "users"), "w") as file:
            file.writelines(f"{user}:::::::\n" for user in users)
        argv = dress("root", self.folder, ["/usr/sbin/dovecot", "-F", "-c", self.conf])  # it looks for its plug-ins where its package installs them
        self.process = Process("dovecot-store", argv, os.path.join(self.folder, "dovecot.log"), env=dict(os.environ))

    def __enter__(self):
        self.process.start()
        self.process.wait_until(lambda: ports.accepts(self.port), 20, "Dovecot listens for LMTP")
        return self

    def __exit__(self, kind, *_):
        self.process.end()
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def messages(self, user):
        """The copies in this user's mailbox, as bytes."""
        return kept(os.path.join(self.folder, "mail", user))

    def wait_messages(self, user, count, timeout=30):
        """Waits until at least `count` copies are there; returns all."""
        wait.until(lambda: len(self.messages(user)) >= count, timeout,
                   lambda: f"{count} copies, there are {len(self.messages(user))}\n{self.process.log_text()[-3000:]}")
        return self.messages(user)


HELLO = b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tX-ECHO\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n"


class ScriptedDovecot:
    """
    Speaks the protocol as `answer` says: answer(words) gets the tab-separated words of a line and returns bytes to send, or None to hang up. hello: what it
    begins with. `lines` are those it got. Listens on 127.0.0.1:port.
    """

    def __init__(self, answer=None, hello=HELLO):
        self.answer, self.hello, self.lines = answer or (lambda words: b""), hello, []
        script = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                try:
                    self.wfile.write(script.hello)
                    for line in self.rfile:
                        words = line.rstrip(b"\n").split(b"\t")
                        script.lines.append(words)
                        said = script.answer(words)
                        if said is None:
                            return
                        self.wfile.write(said)
                except OSError:
                    pass  # the other side has gone: that is its right

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def close_all(self):
        """No new connections."""
        self.server.socket.shutdown(socket.SHUT_RDWR)
