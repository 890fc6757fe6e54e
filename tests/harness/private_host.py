"""
A host's files as one program sees them: a mount namespace of its own, in which a package that was only unpacked looks
installed, with the users that its installation would have made. Nothing of it is seen outside. Needs root.
"""

import os

from . import paths

_SCRIPT = """\
set -e
mount -t overlay none -o lowerdir={package}/usr:/usr /usr
mount -t overlay none -o lowerdir={folder}/etc:{package}/etc:/etc /etc
for empty in /run /var/lib /var/log /var/mail /var/spool; do mount -t tmpfs -o mode=755 none $empty; done
{more}
exec "$@"
"""


def dress(package, folder, argv, users=(), directories=(), etc=None):
    """
    argv, as run where `package` (a directory below build/peers) is installed. users: names, each with a group of its own;
    directories: (path, mode, owner) made below /run and /var; etc: {name: text} of further files in /etc. `folder` is the
    caller's, and stays what it is inside.
    """
    own = os.path.join(folder, "etc")
    os.makedirs(own, exist_ok=True)
    texts = dict(etc or {})
    for name, line in (("passwd", "{user}:x:{id}:{id}::/nonexistent:/usr/sbin/nologin\n"), ("group", "{user}:x:{id}:\n")):
        with open(os.path.join("/etc", name)) as there:
            texts[name] = there.read() + "".join(line.format(user=user, id=64000 + i) for i, user in enumerate(users))
    for name, text in texts.items():
        os.makedirs(os.path.dirname(os.path.join(own, name)), exist_ok=True)
        with open(os.path.join(own, name), "w") as file:
            file.write(text)
    more = "\n".join(f"install -d -m {mode} -o {owner} -g {owner} {path}" for path, mode, owner in directories)
    script = _SCRIPT.format(package=os.path.join(paths.PEERS, package), folder=folder, more=more)
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "private-host", *argv]
