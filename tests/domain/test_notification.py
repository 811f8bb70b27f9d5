"""Rules, the frozen message, and the retry schedule."""

import json
from base64 import b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from witnd.domain.webhooks.notification import (
    SCHEDULE,
    Delivery,
    NotificationRule,
    delivery_id,
    mistakes,
    new_delivery,
    next_attempt,
    rule_id,
)

SECRET = "whsec_" + b64encode(bytes(range(32))).decode()
RAW = {"name": "billing", "source": "both", "url": "https://example.com/hook", "secret": SECRET}


def rule(**changes: object) -> NotificationRule:
    content = {**RAW, "agent": None, "enabled": True, **changes}
    return NotificationRule.from_content(str(content.pop("name")), content)


def confirmed(**changes: object) -> Delivery:
    arguments: dict = {
        "outcome_key": "ticket-0001",
        "customer_key": "acme",
        "agent_key": "support",
        "agent_name": "Support agent",
        "status": "CONFIRMED",
        "resolved_at": 1_767_225_600_123,
        "outcome_facts": {"unit": "1", "amount": "10.00", "currency": "EUR", "line_id": "ab" * 32},
    }
    return new_delivery(rule(), **(arguments | changes))


class TestBody:
    def test_a_confirmed_outcome_says_what_it_costs(self) -> None:
        delivery = confirmed()

        assert json.loads(delivery.body) == {
            "id": delivery.id,
            "type": "outcome_succeed",
            "createdAt": "2026-01-01T00:00:00.123Z",
            "data": {
                "rule": {"id": rule_id("billing"), "name": "billing"},
                "subjectKey": "ticket-0001",
                "facts": {
                    "outcomeKey": "ticket-0001",
                    "customerKey": "acme",
                    "agentKey": "support",
                    "agentName": "Support agent",
                },
                "outcome": {
                    "status": "CONFIRMED",
                    "unit": "1",
                    "amount": "10.00",
                    "currency": "EUR",
                    "settles_at": "2026-01-01T00:00:00.123Z",
                    "line_id": "ab" * 32,
                    "grade": None,
                },
            },
        }
        assert (delivery.created_ms, delivery.rule_name) == (1_767_225_600_123, "billing")

    def test_a_missed_outcome_costs_nothing(self) -> None:
        message = json.loads(confirmed(status="FAILED", outcome_facts={}).body)

        assert message["type"] == "outcome_failed"
        assert message["data"]["outcome"] == {
            "status": "FAILED",
            "unit": None,
            "amount": None,
            "currency": None,
            "settles_at": "2026-01-01T00:00:00.123Z",
            "line_id": None,
            "grade": None,
        }

    def test_its_bytes_are_the_same_for_ever(self) -> None:
        assert confirmed().body == (
            b'{"id":"05b7acac05b715c8e59348b58c1980c056e4ec471b6976156071ac56c1dea5e1",'
            b'"type":"outcome_succeed","createdAt":"2026-01-01T00:00:00.123Z","data":{"rule":'
            b'{"id":"7e27f2af-f523-50bd-9059-52aef4994533","name":"billing"},"subjectKey":"ticket-0001","facts":'
            b'{"outcomeKey":"ticket-0001","customerKey":"acme","agentKey":"support",'
            b'"agentName":"Support agent"},"outcome":{"status":"CONFIRMED","unit":"1",'
            b'"amount":"10.00","currency":"EUR","settles_at":"2026-01-01T00:00:00.123Z",'
            b'"line_id":"' + b"ab" * 32 + b'","grade":null}}}'
        )

    def test_a_number_where_money_is_told_is_an_error_of_the_caller(self) -> None:
        with pytest.raises(msgspec.ValidationError, match="amount"):
            confirmed(outcome_facts={"amount": 10.0})
        with pytest.raises(msgspec.ValidationError, match="price"):
            confirmed(outcome_facts={"price": "10"})

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
    def test_any_key_comes_back_as_it_was(self, key: str) -> None:
        message = json.loads(confirmed(outcome_key=key).body)

        assert message["data"]["subjectKey"] == key


class TestIds:
    def test_the_id_is_a_digest_of_rule_outcome_and_type(self) -> None:
        # printf 'delivery\0R\0ticket-1\0outcome_failed' | sha256sum
        expected = "6a004a2125ae077c5d000b945aa769746001b80a5d1d6eb72f408d2e27d065a0"

        assert delivery_id("R", "ticket-1", "outcome_failed") == expected

    def test_ids_differ_by_each_of_their_parts(self) -> None:
        ids = {delivery_id(r, k, t) for r in "ab" for k in "cd" for t in "ef"}

        assert len(ids) == 8

    def test_an_id_has_no_full_stop_which_the_signature_separates_by(self) -> None:
        assert confirmed().id.isalnum()
        assert len(confirmed().id) == 64

    def test_the_id_of_a_rule_is_derived_from_its_name(self) -> None:
        assert rule_id("billing") == "7e27f2af-f523-50bd-9059-52aef4994533"
        assert rule_id("billing") != rule_id("Billing")


class TestWants:
    @pytest.mark.parametrize(
        ("source", "succeed", "failed"),
        [
            ("outcome_confirmed", True, False),
            ("outcome_missed", False, True),
            ("both", True, True),
        ],
    )
    def test_the_source_picks_the_final_states(self, source: str, succeed: bool, failed: bool) -> None:
        watching = rule(source=source)

        assert watching.wants("support", "outcome_succeed") is succeed
        assert watching.wants("support", "outcome_failed") is failed

    def test_a_rule_for_one_agent_ignores_others(self) -> None:
        assert rule(agent="support").wants("support", "outcome_succeed")
        assert not rule(agent="support").wants("sales", "outcome_succeed")

    def test_a_disabled_rule_wants_nothing(self) -> None:
        assert not rule(enabled=False).wants("support", "outcome_succeed")


class TestMistakes:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"agent": "support", "enabled": False},
            {"url": "http://127.0.0.1:8080"},
            {"url": "https://[2001:db8::1]/x?y=z"},
            {"secret": "whsec_" + b64encode(bytes(24)).decode()},
            {"secret": "whsec_" + b64encode(bytes(64)).decode()},
            {"name": "x" * 255},
        ],
    )
    def test_a_good_rule_has_none(self, changes: dict) -> None:
        assert mistakes(RAW | changes, "notification_rules[0]") == []

    @pytest.mark.parametrize(
        ("changes", "path", "why"),
        [
            ({"name": ""}, "name", "1 to 255"),
            ({"name": "x" * 256}, "name", "1 to 255"),
            ({"name": None}, "name", "missing"),
            ({"name": "\ud800"}, "name", "surrogate"),
            ({"source": "all"}, "source", "outcome_confirmed, outcome_missed, both"),
            ({"agent": 3}, "agent", "1 to 255"),
            ({"url": None}, "url", "https://"),
            ({"url": "example.com/hook"}, "url", "absolute"),
            ({"url": "ftp://example.com"}, "url", "https://"),
            ({"url": "https:///hook"}, "url", "absolute"),
            ({"url": "https://user:pass@example.com"}, "url", "user name"),
            ({"url": "https://@example.com"}, "url", "user name"),
            ({"url": "https://example.com:99999"}, "url", "ort"),
            ({"url": "https://example.com:0"}, "url", "port 0"),
            ({"url": "https://[::1"}, "url", "valid URL"),
            ({"url": "https://exa mple.com"}, "url", "percent-encode"),
            ({"url": "https://example.com/\r\nHost: x"}, "url", "percent-encode"),
            ({"url": "https://example.com/" + "x" * 2048}, "url", "2048"),
            ({"secret": None}, "secret", "whsec_"),
            ({"secret": b64encode(bytes(32)).decode()}, "secret", "must start with whsec_"),
            ({"secret": "whsec_!!!"}, "secret", "base64"),
            ({"secret": "whsec_" + b64encode(bytes(23)).decode()}, "secret", "24 to 64"),
            ({"secret": "whsec_" + b64encode(bytes(65)).decode()}, "secret", "24 to 64"),
            ({"secret": "whsec_ä"}, "secret", "base64"),
            ({"enabled": "yes"}, "enabled", "true or false"),
            ({"agents": "x"}, "agents", "not a field"),
        ],
    )
    def test_a_mistake_has_its_path_and_a_remedy(self, changes: dict, path: str, why: str) -> None:
        (mistake,) = mistakes(RAW | changes, "notification_rules[2]")

        assert mistake.path == f"notification_rules[2].{path}"
        assert why in mistake.message

    def test_all_mistakes_are_told_at_once(self) -> None:
        paths = [mistake.path for mistake in mistakes({}, "r")]

        assert paths == ["r.name", "r.source", "r.url", "r.secret"]

    def test_what_is_not_a_table_is_one_mistake(self) -> None:
        assert [mistake.path for mistake in mistakes(["x"], "r")] == ["r"]

    def test_no_mistake_shows_the_secret(self) -> None:
        secret = "whsec_c2VjcmV0"

        assert "c2VjcmV0" not in str(mistakes(RAW | {"secret": secret}, "r"))


class TestSchedule:
    def test_it_has_the_steps_of_the_contract(self) -> None:
        seconds = [step // 1000 for step in SCHEDULE]

        assert seconds == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]

    def test_after_each_failure_comes_the_next_step(self) -> None:
        due = [next_attempt(tries, 1000, 0.5) for tries in range(1, 10)]

        assert due == [1000 + step for step in SCHEDULE]

    def test_after_the_last_step_there_is_no_next_attempt(self) -> None:
        assert next_attempt(10, 0, 0.5) is None
        assert next_attempt(2, 0, 0.5, None, [100]) is None

    @given(st.integers(1, 9), st.floats(0, 1))
    def test_jitter_stays_within_a_fifth(self, tries: int, jitter: float) -> None:
        due = next_attempt(tries, 0, jitter)

        assert due is not None
        assert 0.8 * SCHEDULE[tries - 1] <= due <= 1.2 * SCHEDULE[tries - 1]

    @pytest.mark.parametrize(
        ("asked_ms", "waits_ms"),
        [(0, 5000), (4999, 5000), (7000, 7000), (10_000, 10_000), (10**13, 10_000)],
    )
    def test_retry_after_counts_between_one_and_two_steps(self, asked_ms: int, waits_ms: int) -> None:
        assert next_attempt(1, 100, 0.0, asked_ms) == 100 + waits_ms
