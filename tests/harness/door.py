"""
How a client comes in: an address, with or without TLS, as a user or as nobody.
"""

import asyncio
import base64


class Door:
    """
    address: (host, port). tls: None, "starttls" or "implicit", with `context` (an ssl.SSLContext; certificates are for
    `name`). user: (name, password), told by AUTH PLAIN or, with is_slow, by LOGIN.
    """

    def __init__(self, address, tls=None, context=None, name="localhost", user=None, is_slow=False):
        self.address, self.tls, self.context, self.name = tuple(address), tls, context, name
        self.user, self.is_slow = user, is_slow

    async def connect(self):
        """(reader, writer); the greeting comes next."""
        more = {"ssl": self.context, "server_hostname": self.name} if self.tls == "implicit" else {}
        return await asyncio.open_connection(*self.address, **more)

    async def enter(self, writer, command):
        """From the greeting to where MAIL may be said. command(text, verb=None) -> (code, reply). The last reply; 2xx: it is open."""
        reply = await command("EHLO generator.test")
        if self.tls == "starttls" and reply[0] == 250:
            reply = await command("STARTTLS")
            if reply[0] != 220:
                return reply
            await writer.start_tls(self.context, server_hostname=self.name)
            reply = await command("EHLO generator.test")
        return await self._authenticate(command) if self.user and reply[0] == 250 else reply

    async def _authenticate(self, command):
        if not self.is_slow:
            return await command("AUTH PLAIN " + _b64("\0".join(("", *self.user))))
        reply = await command("AUTH LOGIN")
        for said in self.user:
            if reply[0] != 334:
                break
            reply = await command(_b64(said), "AUTH")
        return reply


def door(place):
    """A Door, for an address or a Door."""
    return place if isinstance(place, Door) else Door(place)


def _b64(text):
    return base64.b64encode(text.encode()).decode()
