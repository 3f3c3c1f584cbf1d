"""Whatever a validator finds wrong reaches people as a parameter's name and a plain sentence."""

import re
from typing import Annotated, Literal, get_args

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, StringConstraints, model_validator
from pydantic_core.core_schema import ErrorType

from anomify.edge.contract import Inputs
from anomify.edge.parameters import read_inputs
from anomify.edge.validation_sentences import SENTENCES, UNREADABLE, WrongParameter
from anomify.errors import Invalid

app = Flask("sentences")
# Words of the validator's own sentences and places.
RAW = re.compile(
    r"Input should|valid |literal\[|function-|constrained|-parsing|_type|union|\bstr\b|\bint\b"
    r"|\[key\]"
)


class ProbeIn(Inputs):
    bucket: Literal["hour", "day"] | Annotated[int, Field(ge=60)] = "day"
    resolution: Literal["raw"] | Annotated[float, Field(gt=0)] | None = None
    chips: list[Annotated[str, StringConstraints(max_length=3)]] = Field([], max_length=4)
    ids: list[Annotated[int, Field(ge=1)]] | None = None
    flags: dict[str, bool] | None = None
    code: Annotated[str, StringConstraints(pattern="^a$")] = "a"
    size: float = Field(1.0, lt=5, multiple_of=0.5)
    is_fast: bool = False
    mixed: list[int | Literal["all"]] | None = None
    start: float | None = Field(None, validation_alias="from")

    @model_validator(mode="after")
    def _ascends(self):
        if self.size == 2.5:
            raise WrongParameter("size", "Any size but this one.")
        if self.size == 3.5:
            raise ValueError("Nothing goes with this.")
        return self


def fields_of(requested):
    """What is wrong with which parameter; nothing where nothing is."""
    try:
        with app.test_request_context("/", method="POST", json=requested):
            read_inputs(ProbeIn, {})
    except Invalid as error:
        return error.fields
    return {}


def refused(**requested):
    with (
        app.test_request_context("/", method="POST", json=requested),
        pytest.raises(Invalid) as found,
    ):
        read_inputs(ProbeIn, {})
    return found.value


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # No text that a sentence might quote: nothing of ours looks like these.
    | st.text('xyz,[{"1', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2)
    ),
    max_leaves=4,
)


class TestSentences:
    @given(st.dictionaries(st.sampled_from([*ProbeIn.model_fields, "from"]), VALUES))
    def test_are_plain_whatever_is_sent(self, requested):
        for name, sentence in fields_of(requested).items():
            assert name.split(".")[0] in {*ProbeIn.model_fields, "from"}, name
            assert not RAW.search(name), name
            assert not RAW.search(sentence), (name, sentence)
            assert sentence[-1] in ".?", sentence

    def test_state_what_each_kind_of_value_needs(self):
        result = refused(
            bucket="fortnight",
            resolution="fine",
            chips=["abcd", "abcde"],
            ids=[1, "x", "y"],
            flags={"a": "perhaps"},
            mixed=[1, "some"],
        ).fields
        assert result == {
            "bucket": "One of these is needed: 'hour' or 'day'. Or: A whole number is needed.",
            "resolution": "One of these is needed: 'raw'. Or: A number is needed.",
            "chips": "Element 1: 3 characters are the most that will do.",
            "ids": "Element 2: A whole number is needed.",
            "flags.a": "True or false is needed.",
            "mixed": "Element 2: A whole number is needed. Or: One of these is needed: 'all'.",
        }

    def test_name_the_parameter_that_a_rule_about_several_blames(self):
        assert refused(size=2.5).fields == {"size": "Any size but this one."}
        found = refused(size=3.5)
        assert found.fields == {"parameters": "Nothing goes with this."}
        assert found.message == "Nothing goes with this."

    def test_are_spelled_as_the_request_spells(self):
        assert refused(**{"from": "x"}).fields == {"from": "A number is needed."}

    def test_hold_no_words_of_the_validator(self):
        types = set(get_args(ErrorType))
        assert set(SENTENCES) <= types
        for sentence in (*SENTENCES.values(), UNREADABLE):
            assert not RAW.search(sentence)
            assert sentence[-1] == "."
