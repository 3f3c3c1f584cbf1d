"""Parameters from path, body and query, as one."""

from urllib.parse import urlencode

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, field_validator

from anomify.edge.contract import Inputs
from anomify.edge.parameters import find_parameter, read_inputs
from anomify.edge.strict_json import encode
from anomify.errors import Invalid, NotFound, Unsupported

app = Flask("parameters")

PLACES = ("path", "form", "query")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


class ProbeIn(Inputs):
    name: str = ""
    count: int = 0
    is_fast: bool = False
    words: list[str] = Field([])
    numbers: list[int] | None = None
    start: float | None = Field(None, validation_alias="from")

    @field_validator("name")
    @classmethod
    def _not_bad(cls, name):
        if name == "bad":
            raise ValueError("Any name but this one.")
        return name


def read(path=None, model=ProbeIn, **request):
    with app.test_request_context("/", **{"method": "POST", **request}):
        return read_inputs(model, path or {})


def refused(path=None, **request):
    with pytest.raises(Invalid) as found:
        read(path, **request)
    return found.value


class TestMerging:
    @given(st.dictionaries(st.sampled_from(PLACES), TEXTS, min_size=1))
    def test_one_value_in_several_places_counts_once_and_two_are_refused(self, values):
        request = {
            "path": {"name": values["path"]} if "path" in values else {},
            "data": {"name": values["form"]} if "form" in values else {},
            "query_string": {"name": values["query"]} if "query" in values else {},
        }
        if len(set(values.values())) > 1:
            assert refused(**request).fields == {"name": "Send it once."}
        elif "bad" not in values.values():
            assert read(**request).name == next(iter(values.values()))

    @given(
        name=TEXTS.filter(lambda text: text != "bad"),
        count=st.integers(-(2**63) + 1, 2**63 - 1),
        is_fast=st.booleans(),
        numbers=st.lists(st.integers(-1000, 1000), min_size=1),
        start=st.floats(allow_nan=False, allow_infinity=False),
    )
    def test_query_form_and_json_give_the_same(self, name, count, is_fast, numbers, start):
        texts = {
            "name": name,
            "count": str(count),
            "is_fast": "true" if is_fast else "false",
            "numbers": ",".join(str(number) for number in numbers),
            "from": repr(start),
        }
        values = {
            "name": name,
            "count": count,
            "is_fast": is_fast,
            "numbers": numbers,
            "from": start,
        }
        expected = ProbeIn(**values)
        assert read(method="GET", query_string=urlencode(texts)) == expected
        assert read(data=texts) == expected
        assert read(data=encode(values), content_type="application/json") == expected

    def test_unknown_parameters_are_ignored_even_when_they_contradict(self):
        assert read(query_string="org_id=1&role=owner", data={"org_id": "2"}) == ProbeIn()

    def test_a_number_in_json_and_its_text_in_the_query_are_one_value(self):
        assert read(query_string="count=5", json={"count": 5}).count == 5

    def test_a_get_has_no_body(self):
        assert read(method="GET", data="{", content_type="application/json") == ProbeIn()


class TestLists:
    @pytest.mark.parametrize(
        "request_",
        [
            {"query_string": "words=a,b"},
            {"query_string": "words=a&words=b"},
            {"query_string": "words=+a+,,b,"},
            {"query_string": 'words=["a","b"]'},
            {"data": {"words": ["a", "b"]}},
            {"json": {"words": ["a", "b"]}},
            {"json": {"words": "a,b"}},
        ],
    )
    def test_may_be_written_in_many_ways(self, request_):
        assert read(**request_).words == ["a", "b"]

    def test_hold_commas_when_written_as_json(self):
        assert read(query_string='words=["a,b"]').words == ["a,b"]

    def test_hold_nothing_that_cannot_be_stored(self):
        assert "words" in refused(query_string='words=["a\\u0000b"]').fields

    def test_are_refused_when_they_begin_like_json_and_are_none(self):
        assert "words" in refused(query_string="words=[a").fields


class TestRefusing:
    @pytest.mark.parametrize(
        ("request_", "name"),
        [
            ({"query_string": "count=x"}, "count"),
            ({"query_string": "count=1.5"}, "count"),
            ({"query_string": "count=" + "9" * 5000}, "count"),
            ({"query_string": "is_fast=perhaps"}, "is_fast"),
            ({"query_string": "from=x"}, "from"),
            ({"query_string": "name=a&name=b"}, "name"),
            ({"query_string": "name=%00"}, "name"),
            ({"json": {"name": "a\x00"}}, "name"),
            ({"json": {"words": ["a\x00"]}}, "words"),
            ({"json": {"name": {"a": 1}}}, "name"),
            ({"json": {"count": None}}, "count"),
        ],
    )
    def test_names_the_parameter(self, request_, name):
        assert name in refused(**request_).fields

    def test_gives_the_sentence_of_our_own_rules(self):
        assert refused(query_string="name=bad").fields == {"name": "Any name but this one."}

    def test_a_path_that_can_name_nothing_is_not_found(self):
        for value in ("x", "9" * 400, "1.5"):
            with pytest.raises(NotFound):
                read({"count": value})

    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b"[]",
            b'"text"',
            b"null",
            b"NaN",
            b'{"count": NaN}',
            b'{"count": 1e400}',
            b'{"count": ' + b"9" * 5000 + b"}",
            b'{"name": "\xff"}',
            b'{"name": "\\ud800"}',
            b"[" * 100_000,
            b'{"a":' * 40 + b"1" + b"}" * 40,
            encode({str(number): number for number in range(10_001)}),
        ],
    )
    def test_json_that_is_broken_deep_or_crowded(self, body):
        assert "JSON" in refused(data=body, content_type="application/json").message

    def test_other_types_of_body(self):
        with pytest.raises(Unsupported):
            read(data="<a/>", content_type="application/xml")

    def test_no_body_has_no_type(self):
        assert read(content_type="application/xml") == ProbeIn()
        assert read(content_type="application/json") == ProbeIn()


class TestFindParameter:
    def test_is_quiet_about_a_body_that_cannot_be_read(self):
        with app.test_request_context(
            "/?name=a", method="POST", data="{", content_type="application/json"
        ):
            assert find_parameter("name") == "a"
            assert find_parameter("other") is None


class TestJsonAsForm:
    def test_refusal_names_the_content_type_to_send(self):
        """`curl -d` says that everything is a form."""
        form = {"content_type": "application/x-www-form-urlencoded"}
        for body in ('{"name": "a"}', ' {"name":"a=b&c"}', "[1, 2]", '{\n"words":["a","b"]}'):
            with pytest.raises(Unsupported, match="Content-Type: application/json"):
                read(data=body, **form)
        assert read(data="name=%7Ba%7D", **form).name == "{a}"
