"""Exit codes of the daemon and of commands."""

from typing import Final

USAGE: Final = 2  # a wrong option, argument or setting
REDIS: Final = 3  # Redis is unavailable, refuses, or must not be billed from
OWNERSHIP: Final = 4  # another daemon took over, or Redis has another deployment's data
DIFFERENCE: Final = 5  # `witnd audit` found a difference
