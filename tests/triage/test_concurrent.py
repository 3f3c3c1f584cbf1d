"""Changes of one anomaly at the same time: none is lost."""

import threading
from itertools import pairwise

from anomify.anomaly.queries import get_anomaly
from anomify.db import Database, session
from anomify.org.model import Org
from anomify.triage.actor import Actor
from anomify.triage.change import TriageChange, change_anomalies
from anomify.triage.comment_list import list_comments
from anomify.triage.history import list_history
from anomify.triage.queries import states_of
from anomify.triage.status import Status
from tests.factories import make_anomaly, make_metric, make_org, make_user

WRITERS = 20


def test_twenty_changes_at_once_lose_nothing(database: Database) -> None:
    with database.unit_of_work():
        org = make_org()
        users = [make_user(org, f"User {number}").id for number in range(WRITERS)]
        metric = make_metric(org)
        ids = [make_anomaly(metric).id, make_anomaly(make_metric(org, "b")).id]
    begin = threading.Barrier(WRITERS)
    problems: list[Exception] = []

    def write(number: int) -> None:
        begin.wait(30)
        status = list(Status)[number % len(Status)]
        change = TriageChange(status=status, assign=[users[number]], comment=f"Comment {number}.")
        # Half of them name the two in the other order.
        wanted = dict.fromkeys(ids[:: 1 if number % 2 else -1], change)
        try:
            with database.unit_of_work():
                own = session().get_one(Org, org.id)
                change_anomalies(own, wanted, Actor(f"User {number}", users[number]), "http://a")
        except Exception as problem:  # noqa: BLE001 -- the test reports it
            problems.append(problem)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    with database.unit_of_work(write=False):
        for anomaly_id in ids:
            state = states_of([anomaly_id])[anomaly_id]
            assert list(state.assignees) == users
            assert len(list_comments(org.id, anomaly_id)) == WRITERS
            rows = list_history(get_anomaly(org.id, anomaly_id))
            made = [row for row in rows if row.transaction_id is not None]
            made.sort(key=lambda row: len(row.changeset["comments"][1]))
            assert len(made) == WRITERS
            status = "active"
            for row in made:
                before, after = row.changeset.get("status", (status, status))
                assert before == status
                status = after
            assert state.status == status
            for earlier, later in pairwise(made):
                assert earlier.changeset["assignees"][1] == later.changeset["assignees"][0]
                assert earlier.changeset["comments"][1] == later.changeset["comments"][0]
