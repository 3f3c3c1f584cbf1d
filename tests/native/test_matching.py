"""Every route that looks for metrics by parts of their names finds those that watchers hear of."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from anomify.clock import now
from anomify.db import session
from anomify.metric.model import Metric
from anomify.metric.name import NameRefused, plain_or_labelled_name
from anomify.native import exclusion, watcher
from anomify.native.anomaly.blueprints import anomaly_blueprints
from anomify.native.metric.blueprints import metric_blueprints
from anomify.native.org import quota
from anomify.watcher.model import Watcher
from anomify.watcher.routing import watchers_for
from tests.factories import make_anomaly, make_metric, make_watcher
from tests.kit.web import make_app, strict

PIECES = st.sampled_from(
    [
        *("ÜBERWEISUNG", "überweisung", "Stra\N{LATIN SMALL LETTER SHARP S}e", "STRASSE", "SS"),
        *(
            "ΟΔΟΣ",
            "οδος",
            "οδο\u03c3",
            "Σ",
            "İSTANBUL",
            "istanbul",
            "ISTANBUL",
            "\u0131stanbul",
            "İ",
            "i",
        ),
        *("caf\u00e9", "cafe\u0301", "CAFE\u0301", "cafe", "\N{KELVIN SIGN}", "k", "ﬁ", "fi"),
        *(
            "cpu",
            "CPU",
            "Cpu0",
            "a",
            "A",
            "%",
            "_",
            "/",
            "\\",
            "x y",
            "'",
            "🌡",
            "ᾳ",
            "\u0391\u0399",
        ),
    ]
)
NAMES = st.lists(
    st.one_of(
        st.lists(PIECES, min_size=1, max_size=3).map(".".join),
        st.tuples(PIECES, PIECES).map(lambda pair: f'http{{host="{pair[0]}",path="{pair[1]}"}}'),
    )
    .map(plain_or_labelled_name)
    .filter(lambda name: not isinstance(name, NameRefused)),
    min_size=1,
    max_size=8,
    unique=True,
)
CHIPS = st.lists(
    PIECES | st.text("\u0131iİI\u03c3ςΣsSßé\u0301kK._", min_size=1), min_size=1, max_size=2
)


@pytest.fixture
def client(cast, database, tmp_path):
    blueprints = [
        *anomaly_blueprints(),
        exclusion.blueprint,
        *metric_blueprints(),
        quota.blueprint,
        watcher.blueprint,
    ]
    app = make_app(database, tmp_path, blueprints)
    yield app.test_client(use_cookies=False)
    app.extensions["anomify"].points.close()


@pytest.fixture
def ask(client, cast):
    def requested(path, **sent):
        reply = client.post(path, headers=cast.headers("alice"), json=sent)
        assert reply.status_code == 200, reply.text
        return strict(reply)["data"]

    return requested


class TestMatching:
    @given(names=NAMES, chips=CHIPS)
    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_is_the_same_in_every_route(self, names, chips, database, cast, ask):
        with database.unit_of_work():
            session().execute(delete(Metric))
            session().execute(delete(Watcher))
            for name in names:
                make_anomaly(make_metric(cast.acme, name), now())
            watching = make_watcher(cast.acme, *chips).id
        with database.unit_of_work(write=False):
            matching = sorted(name for name in names if watchers_for(cast.acme.id, name, "high"))

        listed = ask("/metrics", chips=chips, include_chips=True)
        assert sorted(one["metric"] for one in listed["metrics"]) == matching
        (shown,) = ask("/watchers/list")["watchers"]
        assert shown["metrics"] == shown["anomalies_7d"] == len(matching)
        for sent in ({"watcher_id": watching}, {"chips": chips}):
            found = ask("/anomalies", **sent)
            assert sorted(one["metric"] for one in found["anomalies"]) == matching
            assert found["total"] == len(matching)
        offered = ask("/watchers/chips", chips=chips)
        assert offered["metrics_matched"] == len(matching)
        assert offered["chips"] == listed["chips"]
        for one in offered["chips"]:
            assert one["count"] == ask("/metrics", chips=[*chips, one["chip"]])["total"], one
        for name in matching:
            watched_by = ask("/metric", metric=name)["watchers"]
            assert [each["id"] for each in watched_by] == [watching]
        with database.unit_of_work():
            session().execute(delete(Watcher))
            make_watcher(cast.acme, chips[0])
        with database.unit_of_work(write=False):
            matching = sorted(name for name in names if watchers_for(cast.acme.id, name, "high"))
        assert ask("/exclusion/test", type="contains", pattern=chips[0])["matched"] == matching
        assert sorted(one["metric"] for one in ask("/metrics", q=chips[0])["metrics"]) == matching
        counted = ask("/org/getquotametrics", q=chips[0])["metrics"]
        assert sorted(one["name"] for one in counted) == matching

    def test_ignores_case_and_unicode_spelling(self, database, cast, ask):
        pairs = {
            "kasse.überweisung": ("ÜBERWEISUNG", "u\u0308berweisung"),
            "STRASSE.zoll": ("Stra\N{LATIN SMALL LETTER SHARP S}e", "strasse"),
            "athen.ΟΔΟΣ": ("οδος", "οδο\u03c3"),
            "İSTANBUL.load": ("istanbul", "ISTANBUL", "İstanbul"),
            "KAPI.count": ("kap\u0131", "kapi"),
        }
        with database.unit_of_work():
            for name in pairs:
                make_metric(cast.acme, name)
        for name, chips in pairs.items():
            for chip in chips:
                found = ask("/metrics", chips=[chip])["metrics"]
                assert [one["metric"] for one in found] == [name], chip
