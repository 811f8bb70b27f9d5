"""Logging in to Redis: the credentials of this moment, and what a refused login means.

A password file is read at each login, so a password that was changed on the server and in the file counts from the next
connection on.
"""

import os
from pathlib import Path

from redis.credentials import CredentialProvider

from witnd.endpoint import Endpoint
from witnd.store.errors import StoreRefused

__all__ = ["Credentials", "credentials", "login_refusal"]


class Credentials(CredentialProvider):
    """`credentials` for redis-py, which asks at each login."""

    def __init__(self, server: Endpoint) -> None:
        self._server = server

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        user, *password = credentials(self._server)
        return (user, password[0]) if password else (user,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()


def credentials(server: Endpoint) -> tuple[str, ...]:
    """User and password, or the password alone, or nothing. Raises `StoreRefused` where the file is of no use."""
    try:
        found = server.login()
    except (OSError, UnicodeError) as error:
        raise StoreRefused(
            f"the password of Redis cannot be read from {server.password_file}: {error}",
            "make the file readable for witnd, which reads it at each login",
        ) from error
    if server.password_file is not None and not (found and found[-1]):
        raise StoreRefused(
            f"the password file {server.password_file} is empty",
            "write the password of Redis into it; witnd reads it at each login",
        )
    return found


def login_refusal(server: Endpoint, reply: str) -> StoreRefused | None:
    """What the server's error reply says about the login of `server`; None where it says nothing about it."""
    word = reply.partition(" ")[0]
    source = "redis.url" if server.password_file is None else str(server.password_file)
    if word == "NOAUTH":
        return StoreRefused(
            f"Redis requires authentication, and witnd has no password ({reply})",
            "set it in redis.url or redis.password_file",
        )
    if word == "WRONGPASS" or "invalid username-password pair" in reply:
        return StoreRefused(f"Redis does not accept the user or password in {source} ({reply})", _remedy(server))
    if "without any password configured" in reply:
        return StoreRefused(
            f"Redis has no password, but {source} has one ({reply})",
            f"set the password on the server (requirepass), or remove it from {source}",
        )
    return None


def _remedy(server: Endpoint) -> str:
    if server.password_file is None:
        return "correct redis.url, or name a file with the password in redis.password_file"
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and Path(server.password_file).is_relative_to(folder):
        return "correct the file that LoadCredential= names and restart the unit: systemd copies it at the start"
    return f"write the server's current password into {server.password_file}; witnd reads it at each login"
