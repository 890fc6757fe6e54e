"""A terminal as a person has it: what is typed goes in, what is seen comes out."""

import os
import subprocess
import uuid

from harness import paths, wait


class Terminal:
    """A shell in tmux, of a server of its own. Close it."""

    def __init__(self, folder, width=100, height=30, shell="/bin/sh"):
        self.socket = os.path.join(paths.scratch("tmux"), uuid.uuid4().hex[:8])
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), "-c", folder, f"env PS1='$ ' {shell}")

    def tmux(self, *arguments):
        return subprocess.run(["tmux", "-S", self.socket, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20,
                              check=True).stdout.decode()

    def type(self, line):
        self.tmux("send-keys", "-l", line)
        self.tmux("send-keys", "Enter")

    def key(self, *names):
        self.tmux("send-keys", *names)

    def resize(self, width, height):
        self.tmux("resize-window", "-x", str(width), "-y", str(height))

    def screen(self):
        return self.tmux("capture-pane", "-p").rstrip("\n").split("\n")

    def text(self):
        return "\n".join(self.screen())

    def flag(self, name):
        return self.tmux("display-message", "-p", f"#{{{name}}}").strip()

    def wait_text(self, *words):
        wait.until(lambda: all(word in self.text() for word in words), 20, lambda: f"{words} on\n{self.text()}")

    def wait_shell(self):
        """The screen of before is back, with its cursor, and what is typed is seen and run."""
        wait.until(lambda: self.flag("alternate_on") == "0", 20, "the other screen is left")
        assert self.flag("cursor_flag") == "1"
        self.type("echo is $((40+2))")
        self.wait_text("echo is $((40+2))", "is 42")

    def close(self):
        self.tmux("kill-server")
