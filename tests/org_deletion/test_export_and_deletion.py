"""Export and deletion of an org, on both databases."""

import io
import json
import sqlite3
import zipfile
from datetime import timedelta

import numpy as np
import pytest
import time_machine
from sqlalchemy import inspect, select, text

from anomify.audit.model import AuditEntry
from anomify.clock import now, now_ms
from anomify.db import Base, session
from anomify.errors import QuotaExceeded
from anomify.metric.deleting import deleted_ids
from anomify.metric.model import Metric
from anomify.metric.state import PARTITIONS
from anomify.org.letter import post_letter
from anomify.org.model import Org
from anomify.org_deletion.export import ARCHIVES_AT_ONCE, Turn
from anomify.series import Points
from anomify.storage.log import Entry
from anomify.triage.actor import Actor
from anomify.triage.change import TriageChange, change_anomalies
from anomify.user.invitation import Inviter, invite
from anomify.user.signup import request_signup
from anomify.worker.analyse import Analyser
from tests.factories import (
    PASSWORD,
    make_anomaly,
    make_cast,
    make_delivery,
    make_match,
    make_metric,
    make_pattern,
    make_token,
    make_watcher,
)
from tests.kit.plant import drain
from tests.kit.web import error, strict
from tests.kit.whole_app import whole_app

# In every text of Acme's, to be looked for when it is gone.
MARK = "zebrafish"


@pytest.fixture
def app(migrated_url, tmp_path):
    with whole_app(migrated_url, tmp_path) as made:
        yield made


@pytest.fixture
def cast(app_state):
    with app_state.database.unit_of_work():
        cast = make_cast()
        for org, word in ((cast.acme, MARK), (cast.globex, "gnu")):
            session().get_one(Org, org.id).name = word
            org.name = word
            metric = make_metric(org, f"{word}.load")
            anomaly = make_anomaly(metric, explanation=f"{word} is high")
            make_match(make_pattern(metric, anomaly, label=f"{word} job"))
            user = cast.alice if org is cast.acme else cast.charlie
            change_anomalies(
                org,
                {anomaly.id: TriageChange(comment=f"{word} again", assign=[user.id])},
                Actor(user.name, user.id),
                "http://x",
            )
            watcher = make_watcher(org, word, name=f"{word} watcher")
            make_delivery(watcher, anomaly, facts={"metric": metric.name})
            make_token(org, "read", name=f"{word} robot")
            invite(org, f"new@{word}.example", word, "viewer", Inviter(word, "owner", "http://x"))
            post_letter(f"x@{word}.example", word, word, org_id=org.id, purpose="test")
            moment = 1_700_000_000_000
            app_state.points.append(
                Entry(
                    Points(
                        np.full(3, metric.id),
                        np.array([moment, moment + 60_000, moment + 120_000]),
                        np.array([1.5, 2.0, float(org.id)]),
                    ),
                    Points.empty(),
                )
            )
        session().get_one(type(cast.alice), cast.alice.id).name = f"Alice {MARK}"
        request_signup("alice@acme.example", "Alice", MARK, "UTC", "http://x")
    return cast


def everything_kept(database):
    """Every table's rows, as text."""
    with database.engine.connect() as connection:
        return {
            table: [
                repr(tuple(row)) for row in connection.execute(text(f'SELECT * FROM "{table}"'))
            ]
            for table in inspect(connection).get_table_names()
        }


def export(client, cast):
    """The archive as the owner downloads it, to its end."""
    with client.post("/org/export", headers=cast.headers("alice")) as reply:
        reply.get_data()
    return reply


def exported(reply):
    with zipfile.ZipFile(io.BytesIO(reply.get_data())) as archive:
        assert archive.testzip() is None
        return {
            name.removesuffix(".jsonl"): [json.loads(line) for line in archive.open(name)]
            for name in archive.namelist()
            if name.endswith(".jsonl")
        }


def delete(client, cast, who="alice", **requested):
    requested = {"name": MARK, "password": PASSWORD, **requested}
    requested = {name: value for name, value in requested.items() if value is not None}
    return client.post("/org/delete", data=requested, headers=cast.headers(who))


class TestExport:
    def test_contains_every_row_of_the_org_and_its_points(self, client, cast):
        reply = export(client, cast)
        assert reply.mimetype == "application/zip"
        assert f"anomify-org-{cast.acme.id}-" in reply.headers["Content-Disposition"]
        tables = exported(reply)
        assert [row["name"] for row in tables["orgs"]] == [MARK]
        assert {row["email"] for row in tables["users"]} == {
            "alice@acme.example",
            "bob@acme.example",
            "dave@acme.example",
        }
        assert tables["spans"][0]["explanation"] == f"{MARK} is high"
        assert len(tables["sessions"]) == 3
        (line,) = tables["points"]
        assert line["metric"] == f"{MARK}.load"
        assert line["points"][:2] == [[1_700_000_000_000, 1.5], [1_700_000_060_000, 2.0]]
        (line,) = tables["pattern_points"]
        assert line["pattern_id"] == tables["patterns"][0]["id"]
        assert len(line["points"]) == 1506
        assert "org.export" in {row["action"] for row in tables["audit_entries"]}

    def test_contains_no_data_of_other_orgs_and_no_secret(self, client, cast):
        reply = export(client, cast)
        with zipfile.ZipFile(io.BytesIO(reply.get_data())) as archive:
            result = "".join(archive.read(name).decode() for name in archive.namelist())
        for word in ("gnu", "charlie", "argon2", "_hash", "sealed", "secret_"):
            assert word not in result.lower(), word

    def test_has_a_file_for_each_table_that_refers_to_an_org(self, client, cast):
        tables = exported(export(client, cast))
        # Rows of the whole installation, or of no org yet.
        of_nobody = {
            *("checkpoints", "deleted_metrics", "judged_batches", "setup_links", "signups"),
            *("judging_epochs", "worker_beats"),
        }
        assert set(tables) == set(Base.metadata.tables) - of_nobody | {"points", "pattern_points"}

    def test_is_for_owners_only(self, client, cast, app_state):
        with app_state.database.unit_of_work():
            _, token = make_token(cast.acme, "read", "write", "admin", "ingest")
        assert client.post("/org/export", headers=cast.headers("bob")).status_code == 403
        assert client.post("/org/export", headers={"X-Auth-Token": token}).status_code == 403
        assert client.post("/org/export").status_code == 401

    def test_limits_the_exports_at_once(self):
        turns = [Turn() for _ in range(ARCHIVES_AT_ONCE)]
        with pytest.raises(QuotaExceeded):
            Turn()
        for turn in turns:
            turn.give_back()
            turn.give_back()
        Turn().give_back()


class TestDelete:
    def test_deletes_all_of_the_org_and_nothing_of_others(self, client, cast, app_state):
        with app_state.database.unit_of_work(write=False):
            metric_ids = set(
                session().scalars(
                    select(Base.metadata.tables["metrics"].c.id).where(
                        Base.metadata.tables["metrics"].c.org_id == cast.acme.id
                    )
                )
            )
        before = everything_kept(app_state.database)
        reply = delete(client, cast)
        assert strict(reply)["data"]["deleted"] == cast.acme.id
        after = everything_kept(app_state.database)
        for table, rows in after.items():
            result = "\n".join(rows)
            for word in (MARK, "alice@", "bob@", "dave@"):
                assert word not in result, (table, word)
            assert [row for row in rows if "gnu" in row] == [
                row for row in before[table] if "gnu" in row
            ]
        for table in Base.metadata.tables.values():
            if "org_id" not in table.columns:
                continue
            with app_state.database.unit_of_work(write=False):
                of_acme = select(table.c.org_id).where(table.c.org_id == cast.acme.id)
                assert session().execute(of_acme).first() is None, table.name
        with app_state.database.unit_of_work(write=False):
            assert metric_ids <= deleted_ids()
            entry = session().scalars(select(AuditEntry).where(AuditEntry.org_id.is_(None))).one()
        assert (entry.action, entry.target) == ("org.delete", f"org {cast.acme.id}")

    def test_deletes_the_points_in_every_store(self, client, cast, app_state):
        analyser = Analyser(app_state.database, app_state.points.log, app_state.points.chunks)
        analyser.recover()
        with app_state.database.unit_of_work(write=False):
            metrics = {metric.org_id: metric.id for metric in session().scalars(select(Metric))}
        moment = now_ms() // 60_000 * 60_000
        times = moment - 60_000 * np.arange(200)[::-1]
        for metric_id in metrics.values():
            ids = np.full(200, metric_id)
            sent = Points(ids, times, np.sin(times / 1e6))
            app_state.points.append(Entry(sent, Points.empty()))
        drain(analyser)
        analyser.checkpoint(range(PARTITIONS))
        assert delete(client, cast).status_code == 200
        # A sender continues to send after the deletion.
        gone, kept = metrics[cast.acme.id], metrics[cast.globex.id]
        late = Points(np.full(1, gone), np.array([moment + 60_000]), np.ones(1))
        app_state.points.append(Entry(late, Points.empty()))
        drain(analyser)
        analyser.checkpoint(range(PARTITIONS))
        with time_machine.travel(now() + timedelta(hours=2)):
            analyser.drop_deleted()
        app_state.points.follow()
        assert app_state.points.count(gone) == 0
        assert app_state.points.count(kept) == 203

    def test_leaves_no_deleted_data_in_the_database_file(
        self, client, cast, app_state, backend, tmp_path
    ):
        assert delete(client, cast).status_code == 200
        if backend == "sqlite":
            app_state.database.empty_log()
            kept = (tmp_path / "meta.db").read_bytes() + (tmp_path / "meta.db-wal").read_bytes()
            assert b"gnu" in kept
            assert MARK.encode() not in kept
            sqlite3.connect(tmp_path / "meta.db").execute("PRAGMA integrity_check").close()
        else:
            assert MARK not in str(everything_kept(app_state.database))

    def test_ends_sessions_and_tokens(self, client, cast, app_state):
        with app_state.database.unit_of_work():
            _, token = make_token(cast.acme, "read")
        reply = delete(client, cast)
        assert strict(reply)["status"]["session_id"] != cast.sessions["alice"]
        for name in ("alice", "bob"):
            assert client.get("/user/info", headers=cast.headers(name)).status_code == 401
        assert client.get("/metrics", headers={"X-Auth-Token": token}).status_code == 401
        assert client.get("/metrics", headers=cast.headers("charlie")).json["data"]["total"] == 1
        requested = {"email": cast.bob.email, "password": PASSWORD}
        assert client.post("/login", data=requested).status_code == 401

    def test_requires_the_name_and_the_password(self, client, cast):
        assert "name" in error(delete(client, cast, name="acme"))["fields"]
        assert error(delete(client, cast, password="wrong"))["code"] == "wrong_password"
        with time_machine.travel(now() + timedelta(minutes=11)):
            assert error(delete(client, cast, password=None))["code"] == "password_needed"
        assert delete(client, cast, "bob").status_code == 403
        assert delete(client, cast, "charlie").status_code == 400
        assert client.get("/org/info", headers=cast.headers("alice")).status_code == 200

    def test_needs_no_password_right_after_signing_in(self, client, cast):
        assert delete(client, cast, password=None).status_code == 200
