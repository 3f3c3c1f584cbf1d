"""Matchers: how they are read, and what they match."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.errors import Invalid
from anomify.silence.affected import Affected, NameParts
from anomify.silence.matcher import Matcher, predicate_of, read_matcher

NAME = 'http_requests{env="staging",job="api"}'


def matches(*texts: str, chips: tuple[str, ...] = (), name: str = NAME) -> bool:
    return Affected(matchers=tuple(map(read_matcher, texts)), chips=chips).predicate()(
        NameParts(name)
    )


@pytest.mark.parametrize(
    ("text", "label", "operator", "value"),
    [
        ('env="staging"', "env", "=", "staging"),
        ("env=staging", "env", "=", "staging"),
        ('  env  !=  "a b"  ', "env", "!=", "a b"),
        ('env=~"a|b"', "env", "=~", "a|b"),
        (r'env!~"\d+"', "env", "!~", r"\d+"),
        (r'env=~"\\d+"', "env", "=~", r"\d+"),
        (r'env="say \"hi\""', "env", "=", 'say "hi"'),
        ('"a label" = "x=~y"', "a label", "=", "x=~y"),
        ("env=", "env", "=", ""),
        ("__name__=~cpu.*", "__name__", "=~", "cpu.*"),
        ("caf\u0065\u0301=x", "caf\u00e9", "=", "x"),
    ],
)
def test_reads_what_people_write(text, label, operator, value):
    assert read_matcher(text) == Matcher(label, operator, value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "env", "=x", "env~x", 'env="x', 'env="x"y', 'env=~"("', 'env=~"(?<=a)b"'),
        *(
            'env=~"(a{1000}){1000}"',
            "env=a\x00b",
            "env=\u202eab",
            "a" * 201 + "=x",
            "a=" + "x" * 513,
        ),
    ],
)
def test_refuses_what_is_no_matcher(text):
    with pytest.raises(Invalid):
        read_matcher(text)


def test_matches_as_alertmanager_does():
    assert matches("env=staging")
    assert not matches("env=stag")
    assert matches("env!=prod")
    assert matches("env=~stag.*")
    assert not matches("env=~stag")
    assert matches("env!~prod|dev")
    assert not matches("env!~stag.+")
    # A label that is missing has an empty value.
    assert matches("zone=")
    assert matches("zone!=x")
    assert matches("zone=~.*")
    assert not matches("zone=~.+")
    assert matches("__name__=http_requests")
    assert matches("__name__=cpu.load", name="cpu.load")


def test_every_matcher_and_chip_has_to_match():
    assert matches("env=staging", "job=api", chips=("HTTP", "!prod"))
    assert not matches("env=staging", "job=web")
    assert not matches("env=staging", chips=("http", "!Staging"))
    assert not matches("env=staging", chips=("grpc",))


def test_spellings_of_the_same_characters_are_one_metric():
    assert Affected(metric="caf\u00e9").predicate()(NameParts("cafe\u0301"))
    assert matches("env=caf\u00e9", name='m{env="cafe\u0301"}')


@given(
    st.text(max_size=80) | st.from_regex(r"\A[a-z]{0,3}(=|!=|=~|!~)[\"()\[\]{}a*+?\\|0-9,]{0,20}\Z")
)
def test_any_text_is_a_matcher_or_refused(text):
    try:
        found = read_matcher(text)
    except Invalid:
        return
    assert read_matcher(found.text) == found
    predicate_of(found)({"a": "a" * 1000, found.label: "a" * 1000})
