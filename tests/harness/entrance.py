"""
Every way into a cluster, with all that ingress can be asked for: TLS of both kinds, AUTH, fix-ups, limits that count and never refuse, tenants
with and without a quota.
"""

import shutil

from . import paths
from .authority import Authority
from .door import Door
from .network import NETWORK

PASSWORD = "a secret of theirs"
USERS = {"ann@origin.test": "shop", "bob": "shop", "eve": "desk", "own": None}  # and their tenants
MANY = "1000000000"
LIMITS = {f"{what}_per_{whom}": f"{MANY}/1h" for what in ("connections", "messages", "recipients", "bytes")
          for whom in ("client", "user", "tenant", "listener")}
LIMITS["sessions_per_client"] = "10000"
_LISTENERS = {"relay": {"role": "relay", "trusted_networks": ["127.0.0.0/8", NETWORK]}, "submission": {"role": "submission"}, "submissions": {"role": "submissions"}}


class Entrance:
    """
    .settings and .listeners are for a Cluster; open(cluster) makes its users, once it runs. All may send as @origin.test. is_limited: with limits
    and quotas, which are asked before content is taken. close() removes the certificates.
    """

    def __init__(self, is_limited=True):
        self.folder = paths.scratch("authority")
        authority = self.authority = Authority(self.folder)
        self.context, self.is_limited = authority.client(), is_limited
        self.settings = {"tls": {"certificates": [authority.issue("localhost")]}}
        self.listeners = {name: {**rows, **({"limits": LIMITS} if is_limited else {})} for name, rows in _LISTENERS.items()}

    def open(self, cluster):
        if self.is_limited:
            cluster.baridctl("tenant", "set", "shop", "queue_messages=100000", "queue_bytes=1GiB", f"messages_per_hour={MANY}")
        for name, tenant in USERS.items():
            cluster.add_user(name, PASSWORD, "--senders", "@origin.test", "--messages-per-hour", MANY, *(["--tenant", tenant] if tenant else []))

    def doors(self, cluster, relays=1):
        """To each ingress one for each user and kind of TLS, and so many for relays, the first of them without TLS."""
        for node in cluster.of("ingress"):
            for number in range(relays):
                yield Door(node.listeners["relay"], "starttls" if number % 2 else None, self.context)
            for number, name in enumerate(USERS):
                user = (name, PASSWORD)
                yield Door(node.listeners["submission"], "starttls", self.context, user=user, is_slow=number % 2 == 1)
                yield Door(node.listeners["submissions"], "implicit", self.context, user=user, is_slow=number % 2 == 0)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
