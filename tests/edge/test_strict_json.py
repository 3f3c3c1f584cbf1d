"""JSON, strictly."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from anomify.edge.contract import Outputs
from anomify.edge.strict_json import decode, encode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Anything(Outputs):
    value: object = None
    numbers: list[float] = Field([])


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


class TestEncode:
    @given(VALUES)
    def test_every_value_is_strict_json(self, value):
        text = encode({"value": value})
        assert set(json.loads(text, parse_constant=refuse)) == {"value"}

    def test_writes_half_a_character_as_its_escape_and_all_else_as_it_is(self):
        result = encode({"a\udcff": ["b\ud800", ("ü", "\U0001f600")], "n": 1})
        assert json.loads(result) == {"a\\udcff": ["b\\ud800", ["ü", "\U0001f600"]], "n": 1}

    @given(st.lists(st.floats()), st.floats())
    def test_so_is_every_output(self, numbers, value):
        text = encode({"data": Anything(value=value, numbers=numbers)})
        result = json.loads(text, parse_constant=refuse)["data"]
        assert result["numbers"] == [n if math.isfinite(n) else None for n in numbers]

    def test_what_has_no_json_form_is_our_mistake(self):
        with pytest.raises(TypeError):
            encode({"value": object()})


class TestDecode:
    @given(st.dictionaries(st.text(max_size=5), st.integers(-(2**53), 2**53) | st.text()))
    def test_gives_back_what_was_written(self, value):
        try:
            text = encode(value)
        except UnicodeEncodeError:
            return
        assert decode(text) == value
