from anomify.watcher.chip import SUGGESTIONS_MAX, Suggestion, suggestions

NAMES = [
    'node_cpu_seconds_total{cpu="0",instance="web1"}',
    'node_cpu_seconds_total{cpu="1",instance="web1"}',
    'node_load1{instance="web2"}',
    "shop.orders.count",
]


class TestSuggestions:
    def test_counts_the_metrics_that_would_then_match(self) -> None:
        assert suggestions(NAMES, ["node"])[:3] == [
            Suggestion("1", 3),
            Suggestion("cpu", 2),
            Suggestion("seconds", 2),
        ]

    def test_counts_metrics_that_contain_the_word_anywhere_as_watchers_do(self) -> None:
        names = ["cpu.load", "cpus.busy", "host.CPU0", "host.mem"]
        assert suggestions(names, [])[0] == Suggestion("cpu", 3)

    def test_suggests_the_typed_word_however_many_others_contain_it(self) -> None:
        names = [f"load{number}.load{number}x.b" for number in range(100)] * 2 + ["load.b"]
        assert suggestions(names, [], "LOAD")[0] == Suggestion("load", 201)

    def test_suggests_no_word_that_would_match_nothing(self) -> None:
        assert suggestions(['up{path="a\\\\b"}'], []) == [
            Suggestion("up", 1),
            Suggestion("path=a\\b", 1),
        ]

    def test_suggests_labels_with_their_whole_values(self) -> None:
        assert suggestions(NAMES, [], "instance=w") == [
            Suggestion("instance=web1", 2),
            Suggestion("instance=web2", 1),
        ]

    def test_suggests_what_to_leave_out_after_an_exclamation_mark(self) -> None:
        assert suggestions(NAMES, ["node"], "!web") == [
            Suggestion("!web2", 2),
            Suggestion("!instance=web2", 2),
            Suggestion("!web1", 1),
            Suggestion("!instance=web1", 1),
        ]

    def test_suggests_only_words_that_contain_the_typed_text(self) -> None:
        assert suggestions(NAMES, [], "OR") == [Suggestion("orders", 1)]

    def test_does_not_suggest_chosen_chips(self) -> None:
        assert "NODE" not in {each.chip.upper() for each in suggestions(NAMES, ["Node"])}

    def test_counts_a_word_once_a_metric(self) -> None:
        assert suggestions(["a.a.a"], []) == [Suggestion("a", 1)]

    def test_does_not_suggest_a_word_with_a_comma(self) -> None:
        assert suggestions(['up{zones="a,b"}'], []) == [Suggestion("up", 1)]

    def test_limits_the_number_of_suggestions(self) -> None:
        names = [f"metric_{number}" for number in range(100)]

        assert len(suggestions(names, [])) == SUGGESTIONS_MAX
