"""Dependencies that only a running daemon has: its health, its sender, and the state of its HTTP server."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from witnd.app.pulse import Pulse
from witnd.app.services import Services
from witnd.notify.lane import Send
from witnd.store.access.sessions import Sessions
from witnd.store.access.stored_answers import StoredAnswers
from witnd.store.log.appender import Appender


class Health(Struct, frozen=True, kw_only=True):
    """The health of the daemon. `started`: whether it has loaded its partitions once. `troubles`: why processing is
    blocked, in words. `alarms`: failures that do not block settlement."""

    started: bool
    ready: bool
    partitions: Mapping[str, int]  # state of a partition → how many
    troubles: Sequence[str]
    alarms: Sequence[str]
    lag: int  # events that are accepted and not yet applied


class DaemonServices(Services, kw_only=True):
    """The services of a running daemon."""

    appender: Appender
    sessions: Sessions
    answers: StoredAnswers
    pulse: Pulse
    send: Send  # one attempt at a webhook
    health: Callable[[], Health]
    lag: Callable[[], int]  # of `health`, for who asks at every event
    metrics: Callable[[], bytes]
