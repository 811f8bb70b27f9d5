"""The author of changes for the change log: the operating system user, which no environment variable changes."""

import os
import pwd
import socket

from witnd.store.access.change_log import Author


def author() -> Author:
    """Return the user of this process and its host, such as `ops@billing-1`."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid {uid}"
    return Author(who=f"{name}@{socket.gethostname()}", source="cli")
