"""What servers that keep their copies in a Maildir have in common: life, and their copies."""

import os
import shutil

from . import ports, wait


class MailboxServer:
    """Its makers set name, host, port, folder, mailbox (a Maildir) and process."""

    def __enter__(self):
        self.process.start()
        self.process.wait_until(lambda: ports.accepts(self.port, self.host), 20, f"{self.name} listens")
        return self

    def __exit__(self, kind, *_):
        self.process.end()
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def log_text(self):
        return self.process.log_text()

    def messages(self):
        """The copies received so far, as bytes."""
        return kept(self.mailbox)

    def wait_messages(self, count, timeout=30):
        """Waits until at least `count` copies are there; returns all."""
        wait.until(lambda: len(self.messages()) >= count, timeout, lambda: f"{count} copies, there are {len(self.messages())}\n{self.log_text()[-3000:]}")
        return self.messages()


def kept(mailbox):
    """The copies in a Maildir, as bytes."""
    found = []
    for state in ("new", "cur"):
        folder = os.path.join(mailbox, state)
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), "rb") as message:
                found.append(message.read())
    return found
