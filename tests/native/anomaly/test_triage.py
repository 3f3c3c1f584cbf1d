"""Triage over HTTP: status, assignees, comments, history and undo, of one anomaly and of many."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from anomify.clock import now, now_timestamp
from anomify.db import Database
from tests.factories import make_anomaly, make_metric, make_token
from tests.kit.learning_api import LearningApi, open_learning_api
from tests.kit.letters import read_letters
from tests.kit.web import error, strict


@pytest.fixture
def api(database: Database, tmp_path: Path) -> Iterator[LearningApi]:
    with open_learning_api(database, tmp_path) as opened:
        yield opened


@pytest.fixture
def ids(api: LearningApi) -> list[int]:
    with api.app_state.database.unit_of_work():
        began = now() - timedelta(hours=1)
        return [make_anomaly(make_metric(api.cast.acme, name), began).id for name in "abc"]


def shown(api: LearningApi, anomaly_id: int) -> dict:
    return api.data(f"/anomaly/{anomaly_id}")["anomaly"]


class TestStatus:
    def test_is_shown_with_the_rest_of_the_triage(self, api: LearningApi, ids: list[int]) -> None:
        until = now_timestamp() + 3_600
        url = f"/anomaly/{ids[0]}/status"
        api.change(url, status="acknowledged", snooze_until=until, comment="On it.")
        one = shown(api, ids[0])
        assert (one["status"], one["archived"], one["snoozed_until_timestamp"]) == (
            "acknowledged",
            False,
            until,
        )
        assert (one["acknowledged_by"], one["comments_count"]) == ("Alice", 1)
        assert api.change(url, snooze_until=0)["anomaly"]["snoozed_until_timestamp"] is None
        changed = api.change(url, duplicate_of=ids[1])["anomaly"]
        assert (changed["status"], changed["archived"]) == ("duplicate", True)
        assert (changed["duplicate_of"], changed["acknowledged_by"]) == (ids[1], None)
        # It is another fact than whether it was expected.
        assert changed["expected"] is None

    def test_without_effect_has_no_transaction(self, api: LearningApi, ids: list[int]) -> None:
        url = f"/anomaly/{ids[0]}/status"
        assert api.change(url, status="active")["transaction_id"] is None
        assert api.change(url, status="invalid")["transaction_id"] is not None

    def test_refuses_what_makes_no_sense(self, api: LearningApi, ids: list[int]) -> None:
        for sent in (
            {},
            {"status": "Active"},
            {"status": "done"},
            {"status": "resolved", "duplicate_of": ids[1]},
            {"duplicate_of": ids[0]},
            {"snooze_until": 5},
            {"status": "resolved", "snooze_until": now_timestamp() + 60},
            {"comment": " "},
            {"status": "resolved", "mentioned_user_ids": api.cast.bob.id},
            {"status": "resolved", "state": "open"},
        ):
            reply = api.post(f"/anomaly/{ids[0]}/status", **sent)
            assert reply.status_code == 400, sent
        assert len(api.data(f"/anomaly/{ids[0]}/history")["history"]) == 2


class TestAssign:
    def test_replaces_adds_and_removes(self, api: LearningApi, ids: list[int]) -> None:
        url = f"/anomaly/{ids[0]}/assign"
        alice, bob = api.cast.alice.id, api.cast.bob.id
        api.change(url, user_ids=f"{bob},{alice},{bob}")
        assert shown(api, ids[0])["assignees"] == [
            {"id": alice, "name": "Alice"},
            {"id": bob, "name": "Bob"},
        ]
        api.change(url, remove=alice)
        listed = api.data("/anomalies", assignee_id=bob)
        assert [one["id"] for one in listed["anomalies"]] == [ids[0]]
        api.change(url, user_ids="[]")
        assert api.data("/anomalies", unassigned="true")["total"] == 3
        assert [letter.to for letter in read_letters(api.app_state.database)] == [
            api.cast.bob.email
        ]

    def test_refuses_others(self, api: LearningApi, ids: list[int]) -> None:
        reply = api.post(f"/anomaly/{ids[0]}/assign", add=api.cast.charlie.id)
        assert (reply.status_code, error(reply)["code"]) == (404, "not_found")
        assert api.post(f"/anomaly/{ids[0]}/assign").status_code == 400
        reply = api.get("/anomalies", assignee_id=api.cast.charlie.id)
        assert reply.status_code == 404


class TestComment:
    def test_is_written_by_viewers_and_changed_by_its_author(
        self, api: LearningApi, ids: list[int]
    ) -> None:
        url = f"/anomaly/{ids[0]}/comment"
        bob = api.cast.bob.id
        text = f"@[Bob]({bob}), is this yours?"
        made = api.change(url, "dave", message=text, mentioned_user_ids=bob)["comment"]
        assert (made["author"], made["message"]) == ("Dave", text)
        assert made["mentioned_users"] == [{"id": bob, "name": "Bob"}]
        (letter,) = read_letters(api.app_state.database)
        assert letter.subject == "Dave mentioned you on the anomaly of a"
        edit = f"/anomaly/comment/{made['id']}/update"
        assert error(api.post(edit, "bob", message="Mine."))["code"] == "not_author"
        edited = api.change(edit, "dave", message="Is this yours?")["comment"]
        assert edited["edited_timestamp"] is not None
        assert read_letters(api.app_state.database) == []
        api.change(f"/anomaly/comment/{made['id']}/delete", "alice")
        assert api.data(url) == {"comments": [], "total": 0}
        (kept,) = api.data(url, include_deleted="true")["comments"]
        assert (kept["message"], kept["deleted_timestamp"] is None) == ("", False)

    def test_is_no_right_to_change_the_status(self, api: LearningApi, ids: list[int]) -> None:
        for path in ("status", "assign", "undo"):
            assert api.post(f"/anomaly/{ids[0]}/{path}", "dave").status_code == 403


class TestHistory:
    def test_names_who_changed_what(self, api: LearningApi, ids: list[int]) -> None:
        changed = api.change(f"/anomaly/{ids[0]}/status", "bob", status="acknowledged")
        with api.app_state.database.unit_of_work():
            secret = make_token(api.cast.acme, "write", name="robot")[1]
        headers = {"X-Auth-Token": secret}
        sent = {"status": "resolved"}
        reply = api.client.post(f"/anomaly/{ids[0]}/status", data=sent, headers=headers)
        by_token = strict(reply)["data"]["transaction_id"]
        by_robot, by_bob, *recorded = api.data(f"/anomaly/{ids[0]}/history")["history"]
        assert by_bob == {
            "transaction_id": changed["transaction_id"],
            "user": {"id": api.cast.bob.id, "name": "Bob"},
            "actor": "Bob",
            "timestamp": by_bob["timestamp"],
            "changeset": {"status": ["active", "acknowledged"]},
            "undoes": None,
            "undone": False,
        }
        assert (by_robot["user"], by_robot["actor"]) == (None, "token:robot")
        assert by_robot["transaction_id"] == by_token
        assert [row["actor"] for row in recorded] == ["Anomify", "Anomify"]

    def test_contains_an_undo(self, api: LearningApi, ids: list[int]) -> None:
        api.change(f"/anomaly/{ids[0]}/status", status="resolved")
        undone = api.change(f"/anomaly/{ids[0]}/undo")
        assert undone["anomaly"]["status"] == "active"
        undo, done = api.data(f"/anomaly/{ids[0]}/history")["history"][:2]
        assert (undo["undoes"], done["undone"]) == (done["transaction_id"], True)
        reply = api.post(f"/anomaly/{ids[0]}/undo")
        assert (reply.status_code, error(reply)["code"]) == (409, "nothing_to_undo")


class TestMany:
    def test_are_changed_all_or_none_and_undone(self, api: LearningApi, ids: list[int]) -> None:
        listed = ",".join(map(str, ids))
        reply = api.post("/anomalies/status", ids=f"{listed},999999", status="resolved")
        assert (reply.status_code, error(reply)["code"]) == (404, "not_found")
        assert "999999" in error(reply)["message"]
        assert api.data("/anomalies", triage="open")["total"] == 3
        changed = api.change("/anomalies/status", anomaly_ids=listed, status="resolved")
        assert (changed["anomaly_ids"], changed["total"]) == (ids, 3)
        assert api.data("/anomalies", triage="archived")["total"] == 3
        api.change("/anomalies/undo", transaction_id=changed["transaction_id"])
        assert api.data("/anomalies", triage="active")["total"] == 3
        api.change("/anomalies/assign", anomaly_ids=listed, add=api.cast.bob.id)
        assert api.data("/anomalies", assignee_id=api.cast.bob.id)["total"] == 3

    def test_are_named_once_each(self, api: LearningApi, ids: list[int]) -> None:
        for sent in (f"{ids[0]},{ids[0]}", "[]"):
            reply = api.post("/anomalies/status", anomaly_ids=sent, status="resolved")
            assert reply.status_code == 400

    def test_are_filtered_by_triage(self, api: LearningApi, ids: list[int]) -> None:
        api.change(f"/anomaly/{ids[0]}/status", status="discarded")
        api.change(f"/anomaly/{ids[1]}/status", snooze_until=now_timestamp() + 60)
        for query, wanted in (
            ({"triage": "discarded"}, ids[:1]),
            ({"triage": "discarded,active"}, ids),
            ({"snoozed": "true"}, ids[1:2]),
            ({"triage": "open", "snoozed": "false"}, ids[2:]),
            ({"triage": "acknowledged"}, []),
        ):
            found = api.data("/anomalies", **query)["anomalies"]
            assert sorted(one["id"] for one in found) == wanted, query
        assert api.get("/anomalies", triage="closed").status_code == 400
