from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from threading import Barrier

import pytest
from sqlalchemy import select

from anomify.clock import now
from anomify.db import Database
from anomify.errors import Unavailable
from anomify.metric import registry as registry_module
from anomify.metric.model import Metric
from anomify.metric.name import DerivedName, canonical_name
from anomify.metric.registry import UNMADE, Registry
from anomify.org.model import Org
from tests.factories import make_metric


@pytest.fixture
def acme(database):
    return new_org(database, "Acme")


def new_org(database, name, quota=None):
    with database.unit_of_work() as session:
        org = Org(name=name, created_at=now(), metric_quota=quota)
        session.add(org)
        session.flush()
        return org.id


def names(*wanted):
    return {f"={name}".encode(): name for name in wanted}


def stored(database, org_id):
    with database.unit_of_work(write=False) as session:
        rows = session.execute(select(Metric.name, Metric.id).where(Metric.org_id == org_id))
        return dict(rows.all())


class TestRegister:
    def test_makes_what_is_new_and_finds_it_again(self, database, acme):
        registry = Registry(database)
        first = registry.register(acme, names("a", "b"))
        assert first.ids == {b"=a": stored(database, acme)["a"], b"=b": stored(database, acme)["b"]}
        assert Registry(database).register(acme, names("b", "c")).ids[b"=b"] == first.ids[b"=b"]
        assert sorted(stored(database, acme)) == ["a", "b", "c"]

    def test_returns_registered_names_without_the_database(self, database, acme):
        registry = Registry(database)
        assert registry.known(acme)(b"=a", 0) == 0
        ids = registry.register(acme, names("a")).ids
        database.dispose()
        assert registry.known(acme)(b"=a", 0) == ids[b"=a"]

    def test_gives_two_keys_of_one_name_one_metric(self, database, acme):
        found = Registry(database).register(acme, {b"1": "m", b"2": "m", b"3": "n"}).ids
        assert found[b"1"] == found[b"2"] != found[b"3"]
        assert len(stored(database, acme)) == 2

    def test_keeps_orgs_apart(self, database, acme):
        globex = new_org(database, "Globex")
        registry = Registry(database)
        ours, theirs = (registry.register(org, names("m")).ids[b"=m"] for org in (acme, globex))
        assert ours != theirs
        assert registry.known(globex)(b"=m", 0) == theirs

    def test_keeps_server_ids_apart(self, database, acme):
        registry = Registry(database)
        registry.register(acme, {b"=m": 'm{_server_id="1"}'}, "1")
        assert registry.known(acme, "1")(b"=m", 0) > 0
        assert registry.known(acme, "2")(b"=m", 0) == 0
        assert registry.known(acme)(b"=m", 0) == 0

    def test_makes_each_metric_once_when_many_ask_at_the_same_time(self, database, acme):
        # Half of them share a registry, as threads do; the others have their own, as processes.
        shared = Registry(database)
        registries = [shared] * 4 + [Registry(database) for _ in range(4)]
        wanted = [f"m{number}" for number in range(60)]
        barrier = Barrier(len(registries))

        def ask(position):
            order = wanted[position:] + wanted[:position]
            barrier.wait()
            return registries[position].register(acme, names(*order)).ids

        with ThreadPoolExecutor(len(registries)) as pool:
            answers = list(pool.map(ask, range(len(registries))))
        assert all(answer == answers[0] for answer in answers)
        assert len(stored(database, acme)) == 60

    def test_makes_more_metrics_than_fit_into_one_statement(self, database, acme):
        wanted = names(*(f"m{number}" for number in range(1200)))
        assert len(set(Registry(database).register(acme, wanted).ids.values())) == 1200

    def test_refuses_new_metrics_over_the_quota_and_never_known_ones(self, database):
        org_id = new_org(database, "Small", quota=3)
        registry = Registry(database)
        registry.register(org_id, names("a", "b"))
        found = registry.register(org_id, names("a", "c", "d", "e"))
        assert sorted(found.ids) == [b"=a", b"=c"]
        assert sorted(found.refused) == [b"=d", b"=e"]
        assert "limit of 3 metrics" in found.refused[b"=d"]
        assert Registry(database).register(org_id, names("a", "b", "c")).refused == {}

    def test_never_exceeds_the_quota_however_many_ask(self, database):
        org_id = new_org(database, "Small", quota=5)
        barrier = Barrier(6)

        def ask(position):
            registry = Registry(database)
            barrier.wait()
            return registry.register(org_id, names(f"a{position}", f"b{position}"))

        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(ask, range(6)))
        assert len(stored(database, org_id)) == 5
        assert sum(len(answer.ids) for answer in answers) == 5
        assert sum(len(answer.refused) for answer in answers) == 7

    def test_removes_the_oldest_names_from_memory_at_the_limit(self, database, acme, monkeypatch):
        monkeypatch.setattr(registry_module, "KNOWN_MAX", 8)
        registry = Registry(database)
        registry.register(acme, names(*(f"m{number}" for number in range(8))))
        registry.register(acme, names("new"))
        known = registry.known(acme)
        assert known(b"=m0", 0) == 0
        assert known(b"=m7", 0) > 0
        assert known(b"=new", 0) > 0

    def test_lets_only_so_many_wait(self, database, acme, monkeypatch):
        monkeypatch.setattr(registry_module, "WAITING_MAX", 0)
        monkeypatch.setattr(registry_module, "WAIT_SECONDS", 0)
        with pytest.raises(Unavailable):
            Registry(database).register(acme, names("a"))

    def test_raises_unavailable_without_a_database(self, tmp_path):
        registry = Registry(Database(f"sqlite:///{tmp_path / 'nowhere' / 'meta.db'}"))
        with pytest.raises(Unavailable) as failure:
            registry.register(1, names("a"))
        assert failure.value.retry_after_seconds == 5


def derived(name, **tags):
    text = repr(sorted(tags.items()))
    apart = canonical_name([("__name__", name), *tags.items()])
    return DerivedName(name, apart, sha256(text.encode()).digest())


class TestDerivedNames:
    def test_keeps_series_of_one_name_apart_whichever_comes_first(self, database, acme):
        wanted = {b"1": derived("10.net", src="10"), b"2": derived("10.net", dst="10")}
        found = Registry(database).register(acme, wanted)
        assert sorted(stored(database, acme)) == ["10.net", '10.net{dst="10"}']
        assert found.apart == {b"2": '10.net{dst="10"}'}
        again = Registry(database).register(acme, dict(reversed(wanted.items())))
        assert again.ids == found.ids
        assert Registry(database).find(acme, wanted) == found.ids

    def test_gives_a_metric_from_before_to_the_series_that_comes_first(self, database, acme):
        old = Registry(database).register(acme, names("10.net")).ids[b"=10.net"]
        for _ in range(2):
            one = Registry(database).register(acme, {b"1": derived("10.net", dst="10")})
            two = Registry(database).register(acme, {b"2": derived("10.net", src="10")})
            assert one.ids == {b"1": old}
            assert two.ids != {b"2": old}
        # Who names it by its name means it.
        assert Registry(database).register(acme, names("10.net")).ids == {b"=10.net": old}

    def test_refuses_what_cannot_be_named_apart(self, database, acme):
        registry = Registry(database)
        registry.register(acme, {b"1": derived("n", a="1")})
        found = registry.register(acme, {b"2": derived("n", a="\x00"), b"3": derived("n", a="2")})
        assert list(found.refused) == [b"2"]
        assert "another series has the name" in found.refused[b"2"]
        assert sorted(stored(database, acme)) == ["n", 'n{a="2"}']

    def test_refuses_a_series_whose_both_names_others_have(self, database, acme):
        registry = Registry(database)
        registry.register(acme, {b"1": derived("n", a="1"), b"2": derived('n{a="2"}', b="1")})
        found = registry.register(acme, {b"3": derived("n", a="2")})
        assert "two other series" in found.refused[b"3"]

    def test_previews_what_it_would_do(self, database, acme):
        registry = Registry(database)
        registry.register(acme, {b"1": derived("n", a="1")})
        found = registry.preview(acme, {b"1": derived("n", a="1"), b"2": derived("n", a="2")})
        assert (found.ids[b"2"], found.apart) == (UNMADE, {b"2": 'n{a="2"}'})


class TestSpelling:
    ONE, OTHER = "caf\u00e9", "cafe\u0301"

    def from_before(self, database, acme):
        """A metric as it was stored when names were composed, whatever was sent."""
        made = Registry(database).register(acme, names(self.ONE)).ids
        with database.unit_of_work() as session:
            session.query(Metric).update({"takes_other_spelling": True})
        return next(iter(made.values()))

    def test_keeps_two_spellings_apart(self, database, acme):
        Registry(database).register(acme, names(self.ONE, self.OTHER))
        assert sorted(stored(database, acme)) == sorted([self.ONE, self.OTHER])

    def test_gives_a_metric_from_before_to_the_spelling_that_comes_first(self, database):
        for first, second in ((self.OTHER, self.ONE), (self.ONE, self.OTHER)):
            org = new_org(database, f"Org of {first!a}")
            old = self.from_before(database, org)
            assert list(Registry(database).find(org, names(first)).values()) == [old]
            found = [Registry(database).register(org, names(name)) for name in (first, second)]
            assert list(found[0].ids.values()) == [old]
            assert list(found[1].ids.values()) != [old]
            assert stored(database, org)[first] == old
            assert Registry(database).register(org, names(first)).ids == found[0].ids

    def test_gives_a_metric_from_before_to_its_own_spelling_where_both_come(self, database, acme):
        old = self.from_before(database, acme)
        Registry(database).register(acme, names(self.OTHER, self.ONE))
        assert stored(database, acme)[self.ONE] == old

    def test_a_derived_name_too_takes_a_metric_from_before(self, database, acme):
        old = self.from_before(database, acme)
        for _ in range(2):
            found = Registry(database).register(acme, {b"1": derived(self.OTHER, a="1")})
            assert found.ids == {b"1": old}
        assert list(stored(database, acme)) == [self.OTHER]


class TestInvisibleCharacters:
    def test_makes_no_metric_with_one_and_keeps_those_there_are(self, database, acme):
        with database.unit_of_work() as session:
            make_metric(session.get(Org, acme), "old\u200b")
        found = Registry(database).register(acme, names("old\u200b", "new\u200b", "m"))
        assert [*found.refused] == ["=new\u200b".encode()]
        assert "U+200B (ZERO WIDTH SPACE)" in next(iter(found.refused.values()))
        assert sorted(stored(database, acme)) == ["m", "old\u200b"]


class TestFind:
    def test_makes_nothing(self, database, acme):
        registry = Registry(database)
        registry.register(acme, names("a"))
        assert list(registry.find(acme, names("a", "b"))) == [b"=a"]
        assert list(stored(database, acme)) == ["a"]


class TestPreview:
    def test_returns_what_would_happen_and_changes_nothing(self, database):
        org_id = new_org(database, "Small", quota=2)
        registry = Registry(database)
        made = registry.register(org_id, names("a")).ids
        found = registry.preview(org_id, names("a", "b", "c"))
        assert found.ids == made | {b"=b": UNMADE}
        assert list(found.refused) == [b"=c"]
        assert list(stored(database, org_id)) == ["a"]
        assert registry.known(org_id)(b"=b", 0) == 0


class TestCheck:
    def test_passes_while_the_database_answers(self, database):
        assert Registry(database).check() is None

    def test_raises_unavailable_if_it_cannot(self, tmp_path):
        with pytest.raises(Unavailable):
            Registry(Database(f"sqlite:///{tmp_path / 'nowhere' / 'meta.db'}")).check()
