from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from anomify.audit.model import AuditEntry
from anomify.clock import now
from anomify.db import session
from anomify.errors import Conflict, Invalid, NotFound, QuotaExceeded
from anomify.exclusion import editing
from anomify.exclusion.assigning import excluder_of
from anomify.exclusion.editing import (
    PUT_OFF,
    ExclusionFields,
    add_exclusion,
    delete_exclusion,
    end_expired,
    preview_exclusion,
)
from anomify.exclusion.predicate import ExclusionKind
from anomify.exclusion.queries import (
    changes_so_far,
    count_kept_out,
    exclusions_of_metrics,
    list_exclusions,
    names_of,
)
from anomify.metric.quota import quota_of
from anomify.metric.registry import Registry
from tests.factories import make_metric, make_org


@pytest.fixture
def acme(unit):
    org = make_org("Acme")
    for name in ("staging.a", "staging.b", "prod.a", 'web{env="staging"}'):
        make_metric(org, name)
    return org


def add(org, kind, pattern, **more):
    return add_exclusion(org.id, ExclusionFields(kind, pattern, **more), "Alice")


def kept_out(org):
    session().expire_all()
    return sorted(named.name for named in names_of(org.id) if named.excluded_by is not None)


def actions(org):
    rows = session().scalars(select(AuditEntry).where(AuditEntry.org_id == org.id))
    return [(row.action, row.target) for row in rows]


class TestPreview:
    @pytest.mark.parametrize(
        ("kind", "pattern", "hit"),
        [
            (ExclusionKind.EXACT, "prod.a", ["prod.a"]),
            (ExclusionKind.PREFIX, "staging.", ["staging.a", "staging.b"]),
            (ExclusionKind.CONTAINS, "staging", ["staging.a", "staging.b", 'web{env="staging"}']),
            (ExclusionKind.REGEX, r"\.a$", ["prod.a", "staging.a"]),
            (ExclusionKind.LABEL, "env=staging", ['web{env="staging"}']),
            (ExclusionKind.PREFIX, "nothing", []),
        ],
    )
    def test_matches_exactly_what_the_saved_rule_excludes(self, acme, kind, pattern, hit):
        before = preview_exclusion(acme.id, kind, pattern)
        assert (before.sample, before.hit, before.freed, before.total) == (
            hit,
            len(hit),
            len(hit),
            4,
        )
        assert kept_out(acme) == []
        _, count = add(acme, kind, pattern)
        assert (kept_out(acme), count) == (hit, len(hit))

    def test_frees_no_quota_for_metrics_that_do_not_count(self, acme):
        add(acme, ExclusionKind.PREFIX, "staging.")
        found = preview_exclusion(acme.id, ExclusionKind.CONTAINS, "staging", sample=1)
        assert (found.sample, found.hit, found.freed) == (["staging.a"], 3, 1)

    def test_counts_no_metrics_of_another_org(self, acme):
        found = preview_exclusion(make_org("Globex").id, ExclusionKind.REGEX, ".")
        assert (found.hit, found.total) == (0, 0)
        assert preview_exclusion(acme.id, ExclusionKind.REGEX, ".").hit == 4


class TestAdd:
    def test_stores_the_given_fields(self, acme):
        ends = now() + timedelta(days=1)
        rule, _ = add(
            acme, ExclusionKind.PREFIX, "staging.", reason=" load \n test ", expires_at=ends
        )
        session().expire_all()
        assert list_exclusions(acme.id).items == [rule]
        assert (rule.name, rule.reason, rule.created_by) == (
            "prefix staging.",
            "load test",
            "Alice",
        )
        assert rule.expires_at == ends
        assert actions(acme) == [("exclusion.add", "prefix staging.")]

    def test_refuses_the_same_rule_twice_however_it_is_spelled(self, acme):
        add(acme, ExclusionKind.EXACT, 'web{b="1",a="2"}')
        with pytest.raises(Conflict, match="already"):
            add(acme, ExclusionKind.EXACT, 'web{a="2", b="1"}')
        add(make_org("Globex"), ExclusionKind.EXACT, 'web{a="2", b="1"}')

    def test_refuses_invalid_rules(self, acme):
        with pytest.raises(Invalid) as refusal:
            add(
                acme,
                ExclusionKind.PREFIX,
                "a",
                reason="x" * 501,
                expires_at=now() - timedelta(seconds=1),
            )
        assert set(refusal.value.fields) == {"reason", "expires"}
        with pytest.raises(Invalid) as refusal:
            add(acme, ExclusionKind.PREFIX, "a", expires_at=datetime(2286, 1, 1, tzinfo=UTC))
        assert set(refusal.value.fields) == {"expires"}

    def test_refuses_more_rules_than_the_limit(self, acme, monkeypatch):
        monkeypatch.setattr(editing, "EXCLUSIONS_MAX", 1)
        add(acme, ExclusionKind.PREFIX, "a")
        with pytest.raises(QuotaExceeded):
            add(acme, ExclusionKind.PREFIX, "b")

    def test_counts_a_metric_for_the_oldest_rule_that_matches_it(self, acme):
        first, _ = add(acme, ExclusionKind.PREFIX, "staging.")
        second, count = add(acme, ExclusionKind.CONTAINS, "staging")
        assert count == 1
        assert count_kept_out(acme.id, [first.id, second.id]) == {first.id: 2, second.id: 1}

    def test_changes_the_version_of_the_rules_even_without_a_match(self, acme):
        before = changes_so_far()
        add(acme, ExclusionKind.PREFIX, "nothing")
        assert changes_so_far() != before


class TestDelete:
    def test_includes_the_metrics_again_unless_another_rule_matches_them(self, acme):
        wide, _ = add(acme, ExclusionKind.CONTAINS, "staging")
        narrow, _ = add(acme, ExclusionKind.EXACT, "staging.a")
        before = changes_so_far()
        delete_exclusion(acme.id, wide.id, "Bob")
        assert kept_out(acme) == ["staging.a"]
        assert count_kept_out(acme.id, [narrow.id]) == {narrow.id: 1}
        assert changes_so_far() != before
        assert actions(acme)[-1] == ("exclusion.delete", "contains staging")

    def test_does_not_find_a_rule_of_another_org(self, acme):
        rule, _ = add(acme, ExclusionKind.CONTAINS, "staging")
        with pytest.raises(NotFound):
            delete_exclusion(make_org("Globex").id, rule.id, "Charlie")

    def test_is_refused_if_the_metrics_exceed_the_quota(self, acme):
        rule, _ = add(acme, ExclusionKind.PREFIX, "staging.")
        acme.metric_quota = 3
        session().flush()
        with pytest.raises(Conflict, match="2 metrics would count again, 1 more"):
            delete_exclusion(acme.id, rule.id, "Alice")
        acme.metric_quota = 4
        session().flush()
        delete_exclusion(acme.id, rule.id, "Alice")
        assert kept_out(acme) == []

    def test_of_a_rule_without_metrics_needs_no_quota(self, acme):
        rule, _ = add(acme, ExclusionKind.PREFIX, "nothing")
        acme.metric_quota = 1
        session().flush()
        delete_exclusion(acme.id, rule.id, "Alice")
        assert list_exclusions(acme.id).total == 0


class TestEndExpired:
    def test_ends_a_rule_once_its_time_is_over(self, acme):
        ends = now() + timedelta(hours=1)
        add(acme, ExclusionKind.PREFIX, "staging.", expires_at=ends)
        assert end_expired(ends - timedelta(seconds=1)) == 0
        assert end_expired(ends) == 1
        assert (kept_out(acme), list_exclusions(acme.id).total) == ([], 0)
        assert actions(acme)[-1] == ("exclusion.expire", "prefix staging.")

    def test_postpones_rules_whose_metrics_exceed_the_quota(self, acme):
        ends = now() + timedelta(hours=1)
        rule, _ = add(acme, ExclusionKind.PREFIX, "staging.", expires_at=ends)
        acme.metric_quota = 2
        session().flush()
        assert end_expired(ends) == 0
        assert rule.expires_at == ends + PUT_OFF
        assert kept_out(acme) == ["staging.a", "staging.b"]


class TestNewNames:
    def test_are_excluded_from_the_start_and_do_not_count(self, database):
        with database.unit_of_work():
            org = make_org(metric_quota=2)
            add(org, ExclusionKind.PREFIX, "staging.")
            org_id = org.id
        registry = Registry(database, excluder_of)
        wanted = ("staging.a", "a", "staging.b", "b", "c", "staging.c")
        keys = {name.encode(): name for name in wanted}
        assert sorted(registry.preview(org_id, keys).refused) == [b"c"]
        found = registry.register(org_id, keys)
        assert sorted(found.refused) == [b"c"]
        with database.unit_of_work(write=False):
            quota = quota_of(org_id)
            excluded = exclusions_of_metrics(list(found.ids.values()))
        assert (quota.used, quota.kept_out, quota.remaining) == (2, 3, 0)
        assert set(excluded) == {found.ids[f"staging.{one}".encode()] for one in "abc"}

    def test_are_limited_even_if_excluded(self, database):
        with database.unit_of_work():
            org = make_org(metric_quota=1)
            add(org, ExclusionKind.PREFIX, "staging.")
            org_id = org.id
        keys = {f"{number}".encode(): f"staging.{number}" for number in range(11)}
        found = Registry(database, excluder_of).register(org_id, keys)
        assert len(found.ids) == 10
        assert [reason.split(";")[0] for reason in found.refused.values()] == [
            "the org's limit of 10 excluded metrics is reached"
        ]
