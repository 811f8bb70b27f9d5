"""What a seed decides: the deployment, the faults and their times."""

from random import Random

from msgspec import Struct

from tests.simulation.network import Faults

FIRST_FAULT = 1.5  # the daemons have started by then
STEPS_MS = (-20_000, -10_000, -4_500, -2_000, -300, 300, 2_000, 4_500, 8_000, 15_000, 90_000, 3_600_000, 3_600_000)


class Deed(Struct, frozen=True, kw_only=True):
    """A fault at a moment, which ends after `seconds`. `host` is the number of a host."""

    at: float
    kind: str
    host: int
    seconds: float
    ms: int = 0
    at_step: bool = False  # wait until the host sends its next step
    holds_step: bool = False  # that step is not sent before the fault ends


class Plan(Struct, frozen=True, kw_only=True):
    """A run. Times are in seconds from its start."""

    seed: int
    hosts: int
    partitions: int
    lease: float
    shares_machine: bool  # all daemons run on one machine, where a dead process is detected at once
    faults: Faults
    deeds: tuple[Deed, ...]
    ends: float  # when all faults end
    outcomes: tuple[tuple[str, float], ...]  # key and begin of each
    customer_at: float  # when the customer appears for which events are held
    agent_at: float | None  # when the settlement period of an agent changes
    refused_at: tuple[float, ...]  # entries that are no events
    actors_max: int
    batch: int
    settle_max: int
    horizon_ms: int


def make_plan(seed: int) -> Plan:
    random = Random(seed)
    lease = random.choice((1.5, 1.5, 2.0, 3.0))
    hosts = random.choice((2, 2, 3))
    ends = FIRST_FAULT + random.uniform(2, 6.5)
    return Plan(
        seed=seed,
        hosts=hosts,
        partitions=random.choice((1, 1, 2, 3, 4)),
        lease=lease,
        shares_machine=random.random() < 0.3,
        faults=_faults(random),
        deeds=_deeds(random, hosts, lease, ends),
        ends=ends,
        outcomes=tuple(
            (f"outcome-{number:04}", random.uniform(0.2, ends - 0.5)) for number in range(random.randint(3, 14))
        ),
        customer_at=random.uniform(1, ends),
        agent_at=random.uniform(1, ends) if random.random() < 0.4 else None,
        refused_at=tuple(random.uniform(0, ends) for _ in range(random.choice((0, 0, 1, 2)))),
        actors_max=random.choice((1, 2, 5, 100_000, 100_000)),
        batch=random.choice((1, 3, 500, 500)),
        settle_max=random.choice((1, 2, 1000)),
        horizon_ms=random.choice((200, 1_000, 60_000)),
    )


def _faults(random: Random) -> Faults:
    def chance(*choices: float) -> float:
        return random.choice((0.0, *choices))

    return Faults(
        lost_before=chance(0.002, 0.01),
        lost_after=chance(0.002, 0.02),
        late=chance(0.005, 0.03),
        silent=chance(0.0, 0.001),
        slow=chance(0.01, 0.05),
        split=chance(0.05, 0.3),
        commit_factor=random.choice((1.0, 3.0, 8.0)),
    )


def _deeds(random: Random, hosts: int, lease: float, ends: float) -> tuple[Deed, ...]:
    lengths = {
        "pause": (0.05, 2.5 * lease),
        "crash": (0.05, lease + 2),
        "stop": (0.2, 3.0),
        "cut off": (0.05, 2 * lease),
        "clock": (0.3, 5.0),
        "wall clock": (0.5, 3.0),
        "flush scripts": (0.0, 0.0),
        "busy server": (0.1, 1.5 * lease),
        "server restart": (0.05, lease),
    }
    kinds = (
        *["pause"] * 5,
        "crash",
        "crash",
        "stop",
        "cut off",
        "clock",
        "clock",
        "wall clock",
        "flush scripts",
        "busy server",
        "server restart",
    )
    deeds = []
    for _ in range(random.randint(1, 7)):
        kind = random.choice(kinds)
        seconds = random.uniform(*lengths[kind])
        deeds.append(
            Deed(
                at=random.uniform(FIRST_FAULT, max(FIRST_FAULT, ends - seconds)),
                kind=kind,
                host=random.randrange(hosts),
                seconds=seconds,
                ms=random.choice(STEPS_MS),
                at_step=random.random() < 0.5,
                holds_step=random.random() < 0.5,
            )
        )
    return tuple(sorted(deeds, key=lambda deed: deed.at))
