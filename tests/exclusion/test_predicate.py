import time
from unicodedata import normalize

import pytest

from anomify.errors import Invalid
from anomify.exclusion.predicate import KINDS, ExclusionKind, canonical_pattern, predicate_of
from anomify.metric.name import canonical_name, parse_name

NAMES = [
    "staging.web.requests",
    "prod.staging.requests",
    'http_requests_total{code="200",env="staging"}',
    'http_requests_total{code="500",env="prod"}',
    'http_requests_bucket{env="staging",le="0.5"}',
    "Staging.web",
]


def hit(kind: ExclusionKind, pattern: str, names: list[str] = NAMES) -> list[str]:
    hits = predicate_of(kind, canonical_pattern(kind, pattern))
    return [name for name in names if hits(name)]


class TestPredicateOf:
    def test_exact_matches_one_name_in_any_order_of_labels(self):
        assert hit(ExclusionKind.EXACT, "staging.web.requests") == [NAMES[0]]
        assert hit(ExclusionKind.EXACT, "staging.web") == []
        assert hit(ExclusionKind.EXACT, 'http_requests_total{env="prod", code="500"}') == [NAMES[3]]

    def test_prefix_matches_beginnings_ignoring_case(self):
        assert hit(ExclusionKind.PREFIX, "STAGING.") == [NAMES[0], NAMES[5]]
        assert hit(ExclusionKind.PREFIX, "http_requests_total{") == NAMES[2:4]

    def test_contains_matches_any_part(self):
        assert hit(ExclusionKind.CONTAINS, "Staging") == [NAMES[n] for n in (0, 1, 2, 4, 5)]
        assert hit(ExclusionKind.CONTAINS, ".*") == []

    def test_regex_matches_anywhere(self):
        assert hit(ExclusionKind.REGEX, r"requests_(total|bucket)") == NAMES[2:5]
        assert hit(ExclusionKind.REGEX, r"(?i)^staging\.") == [NAMES[0], NAMES[5]]

    def test_label_matches_this_value_only(self):
        assert hit(ExclusionKind.LABEL, "env=staging") == [NAMES[2], NAMES[4]]
        assert hit(ExclusionKind.LABEL, " env = staging ") == [NAMES[2], NAMES[4]]
        assert hit(ExclusionKind.LABEL, "env=stag") == hit(ExclusionKind.LABEL, "v=staging") == []
        assert hit(ExclusionKind.LABEL, "__name__=http_requests_total") == NAMES[2:4]
        assert hit(ExclusionKind.LABEL, "__name__=staging.web.requests") == [NAMES[0]]

    @pytest.mark.parametrize(
        ("label", "value"),
        [
            ("env", "staging"),
            ("a", 'quoted " and \\ back'),
            ("a", ",b="),
            ("a", "x=y"),
            ("a", "}"),
            ("weird label", "v"),
            (",b", "v"),
            ("größe", "grün"),
            ("__name__", "with{brace"),
            ("__name__", "plain"),
        ],
    )
    def test_label_agrees_with_the_parser_on_odd_names(self, label, value):
        sets = [
            {"__name__": "plain"},
            {"__name__": "plain", label: value},
            {"__name__": "with{brace", label: value},
            {"__name__": 'a,env="staging",b', "x": "y"},
            {"__name__": "m", "a": f'x,{label}="{value}"', "b": "x,a="},
            {"__name__": "m", "a": f"x,{label}=", "b": f",{value}"},
            {"__name__": "m", "z": "last", label: value, "A": "first"},
            {"__name__": "m", label: f"{value}x"},
        ]
        names = [canonical_name(labels.items()) for labels in sets]
        expected = [name for name in names if (label, value) in parse_name(name)]
        assert expected
        assert hit(ExclusionKind.LABEL, f"{label}={value}", names) == expected

    def test_expressions_made_to_be_slow_are_fast(self):
        names = [f"{'a' * 60}.{number}" for number in range(1_000)]
        began = time.process_time()
        assert hit(ExclusionKind.REGEX, "^(a+)+$", names) == []
        # A backtracking engine would not be done before the sun is cold.
        assert time.process_time() - began < 5


class TestSpelling:
    def test_a_rule_matches_a_name_in_any_unicode_normal_form(self):
        patterns = [
            (ExclusionKind.EXACT, 'caf\u00e9{ort="\u00e9"}'),
            (ExclusionKind.PREFIX, "caf\u00e9"),
            (ExclusionKind.CONTAINS, "\u00e9"),
            (ExclusionKind.REGEX, "^caf\u00e9"),
            (ExclusionKind.LABEL, "ort=\u00e9"),
            (ExclusionKind.LABEL, "__name__=caf\u00e9"),
        ]
        for form in ("NFC", "NFD"):
            name = normalize(form, 'caf\u00e9{ort="\u00e9"}')
            for kind, pattern in patterns:
                assert predicate_of(kind, canonical_pattern(kind, pattern))(name), (form, kind)
        for kind, pattern in patterns:
            if kind is not ExclusionKind.REGEX:
                canonical = canonical_pattern(kind, normalize("NFD", pattern))
                assert canonical == canonical_pattern(kind, pattern)


class TestCanonicalPattern:
    @pytest.mark.parametrize(
        ("kind", "pattern", "why"),
        [
            (ExclusionKind.CONTAINS, "", "which names"),
            (ExclusionKind.CONTAINS, "a" * 513, "at most 512"),
            (ExclusionKind.PREFIX, "a\nb", "control"),
            (ExclusionKind.REGEX, "(", r"no RE2 expression: missing \)"),
            (ExclusionKind.REGEX, r"(a)\1", "no RE2 expression"),
            (ExclusionKind.REGEX, "((a{100}){100}){100}", "no RE2 expression"),
            (ExclusionKind.LABEL, "staging", "env=staging"),
            (ExclusionKind.LABEL, "env=", "env=staging"),
            (ExclusionKind.EXACT, "a}", "closing brace"),
        ],
    )
    def test_refuses_invalid_patterns(self, kind, pattern, why, capfd):
        with pytest.raises(Invalid, match=why) as refusal:
            canonical_pattern(kind, pattern)
        assert set(refusal.value.fields) == {"pattern"}
        # The engine says it on our standard error if it is let.
        assert capfd.readouterr() == ("", "")

    def test_is_equal_for_equal_rules(self):
        assert canonical_pattern(ExclusionKind.PREFIX, "bu\u0308ro") == "b\u00fcro"
        assert canonical_pattern(ExclusionKind.EXACT, 'm{b="2",a="1"}') == 'm{a="1",b="2"}'


class TestKinds:
    def test_every_example_is_a_rule(self):
        assert {one.kind for one in KINDS} == set(ExclusionKind)
        for one in KINDS:
            assert canonical_pattern(one.kind, one.example) == one.example
