"""One rule for every list that a request holds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.edge.list_text import Repeated, as_list, list_of, takes_list

# Texts of elements: a comma only inside of quotes or braces.
PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='",{}[]\\'))
INSIDE = st.text(st.characters(exclude_categories=["Cs", "Cc"])).map(json.dumps)
LABELS = st.dictionaries(st.sampled_from("abc"), INSIDE, max_size=3).map(
    lambda labels: "{" + ",".join(f"{name}={value}" for name, value in labels.items()) + "}"
)
ELEMENTS = (
    st.one_of(PLAIN, st.tuples(PLAIN, LABELS).map("".join), st.tuples(PLAIN, INSIDE).map("".join))
    .map(str.strip)
    .filter(bool)
)
LISTS = st.lists(ELEMENTS, max_size=5)


class TestListOf:
    @given(LISTS)
    def test_every_way_to_write_a_list_is_read_the_same(self, elements):
        for text in (",".join(elements), " , ".join(elements) + ",", json.dumps(elements)):
            assert list_of(text) == elements
        assert as_list(elements) == elements
        assert as_list(Repeated(elements)) == elements
        assert as_list(Repeated([",".join(elements), json.dumps(elements)])) == elements * 2

    @given(st.text(st.sampled_from('a,"{}\\ ='), max_size=30))
    def test_cuts_only_at_commas_and_loses_nothing_else(self, text):
        found = list_of(text)
        assert "".join(found).replace(" ", "").replace(",", "") == text.replace(" ", "").replace(
            ",", ""
        )

    def test_a_quote_or_brace_that_is_never_closed_is_a_character(self):
        for text in ('5" disk,b', "{a,b", "a},b", 'm{a="1,b},c'):
            assert len(list_of(text)) == 2, text

    def test_takes_long_texts_in_one_pass(self):
        for text in ("{" * 200_000, '"' * 200_001, "{" * 100_000 + "}" * 100_000, '\\"{' * 70_000):
            assert len(list_of(text)) <= 1

    @pytest.mark.parametrize("text", ["[", "[a]", '["a"', "[1] b"])
    def test_refuses_what_begins_like_json_and_is_none(self, text):
        with pytest.raises(ValueError, match="A list is needed"):
            list_of(text)


class TestTakesList:
    def test_looks_through_what_stands_around(self):
        assert all(map(takes_list, [list[int], list[int] | None, tuple[str, ...], None | list]))
        assert not any(map(takes_list, [str, dict[str, list[int]], int | None, None]))
