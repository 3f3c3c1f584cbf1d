"""/match and /matches over HTTP: what a pattern explained, pictures, and what people say of it."""

from anomify.clock import now_timestamp
from tests.factories import make_anomaly, make_match, make_metric, make_pattern
from tests.kit.learning_api import LearningApi
from tests.kit.nights import JOB, KINDS, NEXT, TRAINED_DAY, Job
from tests.kit.web import error

SPEC_FIELDS = {
    *("id", "metric", "timestamp", "value", "kind", "similarity", "pattern", "validated"),
    *("graph_url", "motif_graph_url"),
}
LATER = NEXT + 1


class TestMatch:
    def test_says_in_what_it_is_like_its_pattern(self, api: LearningApi) -> None:
        nights, _, match_id = api.with_match()
        match = api.data(f"/match/{match_id}")["match"]
        assert set(match) >= SPEC_FIELDS
        assert match["metric"] == nights.kind.name
        assert match["timestamp"] * 1000 == nights.at(NEXT, JOB.minute)
        assert match["pattern"]["label"] == "nightly job"
        assert match["similarity"] > 50
        assert 0.5 < match["height_ratio"] < 1.25
        assert match["explanation"].startswith("Like “nightly job”, marked as expected by Alice: ")
        assert match["explanation"].endswith("at the same time of the day.")
        assert (match["validated"], match["validated_by"]) == (0, None)
        assert match["motif"]["size"] > 0

    def test_answers_the_same_for_foreign_and_unknown_ids(self, api: LearningApi) -> None:
        with api.app_state.database.unit_of_work():
            match_id = make_match(make_pattern(make_metric(api.cast.acme))).id
        for path in ("", "/graph", "/motif/graph"):
            foreign = api.get(f"/match/{match_id}{path}", who="charlie")
            unknown = api.get(f"/match/987654{path}", who="charlie")
            assert foreign.status_code == unknown.status_code == 404, path
            assert error(foreign) == error(unknown)

    def test_that_went_beyond_its_pattern_names_the_anomaly(self, api: LearningApi) -> None:
        nights, _, match_id = api.with_match(
            jobs={TRAINED_DAY: JOB, NEXT: JOB, LATER: Job(minutes=100)}
        )
        assert api.data(f"/match/{match_id}")["match"]["outgrown_by_anomaly_id"] is None
        analyser = nights.plant.analyser()
        api.judge(nights, analyser, LATER + 1)
        anomaly, *_ = nights.anomalies(LATER)
        shown = api.data(f"/anomaly/{anomaly.id}")["anomaly"]
        assert shown["timestamp"] * 1000 == nights.at(LATER, JOB.minute)
        assert "Like “nightly job”" in shown["outgrown_reason"]
        for match in nights.matches(LATER):
            told = api.data(f"/match/{match.id}")["match"]
            assert told["outgrown_by_anomaly_id"] == anomaly.id
            assert told["outgrown_reason"] == shown["outgrown_reason"]


class TestPictures:
    def test_show_the_pattern_over_the_window(self, api: LearningApi) -> None:
        nights, _, match_id = api.with_match()
        picture = api.get(f"/match/{match_id}/graph")
        assert (picture.status_code, picture.mimetype) == (200, "image/png")
        data = api.data(f"/match/{match_id}/graph", format="json")
        current, pattern = (dict(map(tuple, data["series"][name])) for name in data["series"])
        onset = nights.at(NEXT, JOB.minute) // 1000
        # Both leave the level at the same point, and lie near each other.
        assert current[onset] - current[onset - 60] > 1_000
        assert pattern[onset] - pattern[onset - 60] > 1_000
        assert abs(pattern[onset] - current[onset]) < 200
        [note] = data["notes"]
        assert note.startswith("Like “nightly job”")

    def test_show_the_compared_part_in_words_and_numbers(self, api: LearningApi) -> None:
        _, _, match_id = api.with_match()
        match = api.data(f"/match/{match_id}")["match"]
        picture = api.get(f"/match/{match_id}/motif/graph", theme="dark", width=400)
        assert (picture.status_code, picture.mimetype) == (200, "image/png")
        data = api.data(f"/match/{match_id}/motif/graph", format="json")
        series = data["series"]
        assert len(series["pattern_motif"]) == match["motif"]["size"]
        assert abs(len(series["motif"]) - len(series["pattern_motif"])) <= 1
        assert round(series["distance"], 4) == match["distance"]
        assert data["notes"][0].startswith(f"{match['similarity']:.0f} % similar")

    def test_are_opened_by_signed_links_and_not_without(self, api: LearningApi) -> None:
        _, _, match_id = api.with_match()
        match = api.data(f"/match/{match_id}")["match"]
        for url in (match["graph_url"], match["motif_graph_url"], match["pattern"]["graph_url"]):
            address = url[url.index("/", 8) :]
            picture = api.client.get(address)
            assert (picture.status_code, picture.mimetype) == (200, "image/png"), address
            assert api.client.post(address, data={"theme": "dark"}).status_code == 403
            assert api.client.get(address.partition("?")[0]).status_code == 401

    def test_without_compared_shapes_there_is_no_close_up(self, api: LearningApi) -> None:
        with api.app_state.database.unit_of_work():
            pattern = make_pattern(make_metric(api.cast.acme))
            match_id = make_match(pattern, kind="usual", motif_index=None, motif_size=None).id
        match = api.data(f"/match/{match_id}")["match"]
        assert (match["motif"], match["motif_graph_url"]) == (None, None)
        assert api.get(f"/match/{match_id}/motif/graph").status_code == 404
        assert api.get(f"/match/{match_id}/graph").status_code == 200

    def test_of_the_metric_show_matches_unless_hidden(self, api: LearningApi) -> None:
        nights, _, _ = api.with_match()
        window = {"from": nights.at(NEXT) // 1000, "until": nights.at(NEXT, 600) // 1000}
        for path in (f"/metric/{nights.kind.name}/graph", "/image/metric"):
            query = {"metric": nights.kind.name, **window}
            shown = api.get(path, **query)
            hidden = api.get(path, display_matches="false", **query)
            assert shown.mimetype == hidden.mimetype == "image/png"
            assert shown.data != hidden.data

    def test_of_every_kind_of_metric_can_be_drawn(self, api: LearningApi) -> None:
        for kind in KINDS[2:]:
            _, _, match_id = api.with_match(kind=kind)
            for path in ("graph", "motif/graph"):
                assert api.get(f"/match/{match_id}/{path}").mimetype == "image/png", kind.name


class TestValidate:
    def test_stores_what_people_say_and_the_precision_of_the_pattern(
        self, api: LearningApi
    ) -> None:
        _, _, match_id = api.with_match()
        match = api.change(f"/match/{match_id}/validate", who="bob", valid="true")["match"]
        assert (match["validated"], match["validated_by"]) == (1, "Bob")
        assert match["pattern"]["precision"] == 1.0
        again = api.post(f"/match/{match_id}/validate", valid="true")
        assert (again.status_code, error(again)["code"]) == (409, "already_validated")

    def test_keeps_a_wrong_match_so_that_its_like_is_reported(self, api: LearningApi) -> None:
        nights, analyser, match_id = api.with_match(jobs={TRAINED_DAY: JOB, NEXT: JOB, LATER: JOB})
        match = api.change(f"/match/{match_id}/validate", valid="false")["match"]
        assert (match["validated"], match["pattern"]["precision"]) == (2, 0.0)
        [positive] = api.data("/patterns", positive="true")["patterns"]
        assert positive["metric_name"] == nights.kind.name
        api.judge(nights, analyser, LATER + 1)
        [reported] = nights.anomalies(LATER)
        # Its first points may be like the pattern; then it is told as one that went beyond it.
        outgrown = {match.outgrown_by_anomaly_id for match in nights.matches(LATER)}
        assert outgrown <= {reported.id}
        [listed] = api.data("/matches", validated=2, **{"from": 1})["matches"]
        assert listed["id"] == match_id

    def test_is_for_editors_and_names_what_is_missing(self, api: LearningApi) -> None:
        with api.app_state.database.unit_of_work():
            match_id = make_match(make_pattern(make_metric(api.cast.acme))).id
        path = f"/match/{match_id}/validate"
        assert api.post(path, who="dave", valid="true").status_code == 403
        assert api.post(path, who="charlie", valid="true").status_code == 404
        reply = api.post(path)
        assert (reply.status_code, set(error(reply)["fields"])) == (400, {"valid"})


class TestMatches:
    def test_lists_the_newest_first_by_metric_and_answer(self, api: LearningApi) -> None:
        with api.app_state.database.unit_of_work():
            orders = make_pattern(make_metric(api.cast.acme, "shop.orders"))
            carts = make_pattern(make_metric(api.cast.acme, "shop.carts"))
            make_match(make_pattern(make_metric(api.cast.globex, "theirs")))
            ids = [make_match(orders).id, make_match(carts, validated=1).id]
        listed = api.data("/matches")
        assert [one["id"] for one in listed["matches"]] == sorted(ids, reverse=True)
        assert listed["total"] == 2
        assert [one["id"] for one in api.data("/matches", metric="shop.orders")["matches"]] == [
            ids[0]
        ]
        assert [one["id"] for one in api.data("/matches", validated=1)["matches"]] == [ids[1]]
        reply = api.get("/matches", validated=3)
        assert (reply.status_code, set(error(reply)["fields"])) == (400, {"validated"})

    def test_metrics_are_ranked_by_their_last_match(self, api: LearningApi) -> None:
        with api.app_state.database.unit_of_work():
            for number, name in enumerate(("first", "second", "third")):
                pattern = make_pattern(make_metric(api.cast.acme, name))
                for day in range(number + 1):
                    make_match(pattern, pattern.created_at.replace(day=19 + number + day))
        ranking = api.data("/metrics/mostrecentlymatched")
        assert [(one["metric"], one["count"]) for one in ranking["metrics"]] == [
            ("third", 3),
            ("second", 2),
            ("first", 1),
        ]
        assert ranking["total"] == 3
        page = api.data("/metrics/mostrecentlymatched", limit=1, offset=1)
        assert [one["metric"] for one in page["metrics"]] == ["second"]
        assert page["total"] == 3
        assert api.data("/metrics/mostrecentlymatched", who="charlie")["total"] == 0


class TestOverview:
    def test_says_how_many_alarms_were_spared_and_lists_them(self, api: LearningApi) -> None:
        with api.app_state.database.unit_of_work():
            metric = make_metric(api.cast.acme, "shop.orders")
            pattern = make_pattern(metric, make_anomaly(metric))
            match_id = make_match(pattern).id
            became = make_anomaly(make_metric(api.cast.acme, "beyond"))
            make_match(
                make_pattern(make_metric(api.cast.acme, "outgrown")),
                outgrown_by_anomaly_id=became.id,
            )
        summary = api.data("/org/summary")["summary"]
        assert (summary["matches"]["value"], summary["matches"]["previous"]) == (1, 0)
        assert (summary["patterns_trained"]["value"], summary["total_patterns"]) == (2, 2)
        assert (summary["anomalies_reduced_by"], summary["spared_per_week"]) == (33.3, 1.0)
        assert [one["match_id"] for one in summary["spared"]] == [match_id]
        assert summary["spared"][0]["explanation"].startswith("Like “Nightly job”")
        theirs = api.data("/org/summary", who="charlie")["summary"]
        assert (theirs["spared"], theirs["anomalies_reduced_by"]) == ([], None)

    def test_counts_matches_and_patterns_over_time(self, api: LearningApi) -> None:
        with api.app_state.database.unit_of_work():
            pattern = make_pattern(make_metric(api.cast.acme))
            make_match(pattern)
        at = now_timestamp()
        series = api.data("/org/graph", **{"from": at - 9 * 86_400, "until": at + 60})["series"]
        assert sum(count for _, count in series["matches"]) == 1
        totals = [count for _, count in series["total_patterns"]]
        assert (totals[0], totals[-1]) == (0, 1)
        assert len(series["matches"]) == len(totals) == len(series["anomalies"])
