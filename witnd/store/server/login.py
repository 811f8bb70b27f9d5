"""Credentials for Redis, and the errors of a refused login.

The password file is read at each login. A password that was changed on the server and in the file is used from the
next connection on.
"""

import os
from pathlib import Path

from redis.credentials import CredentialProvider

from witnd.endpoint import Endpoint
from witnd.store.errors import StoreRefused

__all__ = ["Credentials", "credentials", "login_refusal"]


class Credentials(CredentialProvider):
    """Provides `credentials` to redis-py at each login."""

    def __init__(self, server: Endpoint) -> None:
        self._server = server

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        user, *password = credentials(self._server)
        return (user, password[0]) if password else (user,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()


def credentials(server: Endpoint) -> tuple[str, ...]:
    """Return user and password, only the password, or nothing. Raises `StoreRefused` for an unusable file."""
    try:
        found = server.login()
    except (OSError, UnicodeError) as error:
        raise StoreRefused(
            f"the password of Redis cannot be read from {server.password_file}: {error}",
            "make the file readable for witnd; it is read at each login",
        ) from error
    if server.password_file is not None and not (found and found[-1]):
        raise StoreRefused(
            f"the password file {server.password_file} is empty",
            "write the password of Redis into it; it is read at each login",
        )
    return found


def login_refusal(server: Endpoint, reply: str) -> StoreRefused | None:
    """Return the refusal for an error reply about the login, or None for other replies."""
    word = reply.partition(" ")[0]
    source = "redis.url" if server.password_file is None else str(server.password_file)
    if word == "NOAUTH":
        return StoreRefused(
            f"{_kind(server)} requires authentication, and witnd has no password ({reply})",
            "set redis.sentinel_password_file" if server.is_sentinel else "set it in redis.url or redis.password_file",
        )
    if word == "WRONGPASS" or "invalid username-password pair" in reply:
        return StoreRefused(f"Redis does not accept the user or password in {source} ({reply})", _remedy(server))
    if "without any password configured" in reply:
        return StoreRefused(
            f"Redis has no password, but {source} has one ({reply})",
            f"set the password on the server (requirepass), or remove it from {source}",
        )
    return None


def _kind(server: Endpoint) -> str:
    return f"the Sentinel {server.host}:{server.port}" if server.is_sentinel else "Redis"


def _remedy(server: Endpoint) -> str:
    if server.is_sentinel and server.password_file is None:
        return "set redis.sentinel_username and redis.sentinel_password_file"
    if server.password_file is None:
        return "correct redis.url, or set redis.password_file to a file with the password"
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and Path(server.password_file).is_relative_to(folder):
        return "correct the file in LoadCredential= and restart the unit: systemd copies it at the start"
    return f"write the server's current password into {server.password_file}; it is read at each login"
