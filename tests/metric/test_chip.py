"""Which names hold every chip."""

from anomify.metric.chip import folded, is_matched

NAME = 'node_cpu_seconds_total{cpu="0",instance="web1"}'


class TestIsMatched:
    def test_wants_every_chip_somewhere_in_the_name_whatever_the_case(self) -> None:
        assert is_matched(folded(["CPU", "web"]), NAME.lower())
        assert not is_matched(folded(["cpu", "web2"]), NAME.lower())

    def test_folds_other_alphabets_too(self) -> None:
        assert is_matched(folded(["HÖHE"]), "Verkehr.Höhe".lower())
