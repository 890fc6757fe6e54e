"""Rights in Redis as lib/cluster/access.def has them: what each script touches, what each role runs and asks."""

import os
import re
from dataclasses import dataclass

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib", "cluster", "access.def")
ROW = re.compile(r"^(RUNS|TOUCHES|ASKS)\(([^)]*)\)$", re.M)


@dataclass(frozen=True)
class Right:
    """Commands on keys; of a script or a role."""

    who: str
    rights: str
    commands: tuple
    keys: str


class Access:
    def __init__(self, text=None):
        if text is None:
            with open(PATH, encoding="utf-8") as file:
                text = file.read()
        self.runs, self.touches, self.asks = [], [], []
        for kind, inside in ROW.findall(text):
            cells = [cell.strip().strip('"') for cell in inside.split(",")]
            if kind == "RUNS":
                self.runs.append(tuple(cells))
            else:
                who, rights, commands, keys = cells
                (self.touches if kind == "TOUCHES" else self.asks).append(Right(who, rights, tuple(commands.split()), keys))

    def scripts(self, role):
        return [script for who, script in self.runs if who in (role, "every")]

    def of_script(self, script):
        return [right for right in self.touches if right.who == script]


def selectors(rights):
    """As ACL SETUSER takes them."""
    def one(right):
        keys = [f"%{right.rights}~{keys}" for keys in right.keys.split()]
        return f"({' '.join(keys + ['+' + command for command in right.commands])})"

    return [one(right) for right in rights]


def set_script_user(redis, script, rights):
    """A user that may run scripts, but of what is in them only what these rights say; its name."""
    redis.execute_command("ACL", "SETUSER", f"script-{script}", "reset", "on", "nopass", "-@all", "+time",
                          "(~* +evalsha)", *selectors(rights))
    return f"script-{script}"


def set_role_user(redis, role, access):
    """A user with the rights of a role, as `baridctl store acl` would give them; its name."""
    rights = [right for script in access.scripts(role) for right in access.of_script(script)]
    rights += [right for right in access.asks if right.who in (role, "every") and right.keys]
    plain = [command for right in access.asks if right.who in (role, "every") and not right.keys for command in right.commands]
    redis.execute_command("ACL", "SETUSER", f"role-{role}", "reset", "on", "nopass", "-@all",
                          *("+" + command for command in plain if command not in ("evalsha", "eval")),
                          "(~* +evalsha +eval)", *selectors(rights))
    return f"role-{role}"
