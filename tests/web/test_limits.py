"""Rates of tokens: a bucket that is not full is kept, however many others there are."""

from hypothesis import given
from hypothesis import strategies as st

from witnd.store.access.tokens import Token
from witnd.web.http.rate_limit import MOST, Rates


def token(name: str, rate: float) -> Token:
    return Token(id=name, name=name, scopes=("ingest",), digest="", created_at=0, rate=rate)


def test_a_bucket_in_use_survives_any_number_of_others() -> None:
    rates, busy = Rates(), token("busy", 2)
    assert [rates.take(busy, 0.0) for _ in range(3)] == [None, None, 1]
    for number in range(MOST + 10):
        assert rates.take(token(str(number), 2), 0.0) is None
    assert rates.take(busy, 0.0) == 1


def test_full_buckets_are_forgotten() -> None:
    rates = Rates()
    for number in range(3 * MOST):
        rates.take(token(str(number), 1000), float(number))
    assert len(rates._buckets) <= MOST + 1


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 3)), max_size=60))
def test_forgetting_changes_no_answer(asked: list[tuple[int, float]]) -> None:
    roomy, tight = Rates(), Rates()
    tight._most = 1
    now, tokens = 0.0, [token(str(number), rate) for number, rate in enumerate((0.5, 1, 2, 3, 10, 100))]
    for number, pause in asked:
        now += pause
        assert roomy.take(tokens[number], now) == tight.take(tokens[number], now)
        tight._most = 1
