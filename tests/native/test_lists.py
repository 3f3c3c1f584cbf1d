"""Every list that a route declares is read by one rule, whichever way it is written."""

import json
from enum import StrEnum
from typing import Literal, get_args, get_origin
from urllib.parse import urlencode

import pytest
from pydantic import BaseModel, create_model

from anomify.edge.contract import Inputs, declared_routes
from anomify.edge.list_text import takes_list
from anomify.edge.parameters import read_inputs
from tests.kit.tenants import open_product

LABELLED = 'requests{code="500",path="/a,b"}'


@pytest.fixture(scope="module")
def product(migrated_sqlite_file, tmp_path_factory):
    directory = tmp_path_factory.mktemp("lists")
    path = directory / "meta.db"
    path.write_bytes(migrated_sqlite_file.read_bytes())
    with open_product(f"sqlite:///{path}", directory) as opened:
        yield opened


def listed(product):
    """Each route with each list it takes, as a model of that one parameter, and two elements."""
    for route in declared_routes(product.app).values():
        fields = route.inputs.model_fields if route.inputs else {}
        for name, field in fields.items():
            if not takes_list(field.annotation) or takes_objects(field.annotation):
                continue
            model = create_model("One", __base__=Inputs, **{name: (field.annotation, field)})
            elements = elements_of(field.annotation)
            yield route, name, model, elements


def takes_objects(annotation):
    """Return whether the elements of a list are JSON objects, which no text separates."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return any(map(takes_objects, get_args(annotation)))


def elements_of(annotation):
    """Two elements that a list of this type takes."""
    inner = [annotation]
    while inner:
        choice = inner.pop()
        if choice is int:
            return [7, 12]
        if get_origin(choice) is Literal:
            return list(get_args(choice))[:2]
        if isinstance(choice, type) and issubclass(choice, StrEnum):
            return list(choice)[:2]
        inner += get_args(choice)
    return ["cpu", LABELLED]


def ways(name, elements):
    """Each way in which a request may hold a list."""
    commas = ",".join(map(str, elements))
    texts = [commas, f" {commas} ,", json.dumps(elements)]
    for text in texts:
        yield {"method": "GET", "query_string": urlencode({name: text})}
        yield {"method": "POST", "query_string": urlencode({name: text})}
        yield {"method": "POST", "data": {name: text}}
        yield {"method": "POST", "json": {name: text}}
    yield {"method": "POST", "json": {name: elements}}
    repeated = [str(element) for element in elements]
    yield {"method": "GET", "query_string": urlencode({name: repeated}, doseq=True)}
    yield {"method": "POST", "data": {name: repeated}}
    # In two places the same list is one list, whichever way it is written.
    yield {
        "method": "POST",
        "json": {name: elements},
        "query_string": urlencode({name: texts[0]}),
    }
    yield {"method": "POST", "data": {name: texts[2]}, "query_string": urlencode({name: texts[0]})}


class TestEveryList:
    def test_is_the_same_whichever_way_it_is_written(self, product):
        seen = set()
        for route, name, model, elements in listed(product):
            seen.add((route.rule, name))
            for request in ways(name, elements):
                with product.app.test_request_context("/", **request):
                    found = getattr(read_inputs(model, {}), name)
                assert list(found) == elements, (route.rule, name, request)
        assert {
            ("/watcher/create", "email_user_ids"),
            ("/watcher/<int:watcher_id>/update", "chips"),
            ("/org/adminalerts", "type_1_email"),
            ("/org/removequotametrics", "metrics"),
            ("/org/tokens/create", "scopes"),
            ("/metrics", "chips"),
        } <= seen

    def test_may_be_empty_where_it_may_be_left_out(self, product):
        for route, name, model, _ in listed(product):
            if model.model_fields[name].is_required():
                continue
            for text in ("", "[]", " , "):
                with product.app.test_request_context("/", query_string=urlencode({name: text})):
                    assert list(getattr(read_inputs(model, {}), name)) == [], (route.rule, name)

    def test_refuses_other_values(self, product):
        alice = product.cast.headers("alice")
        for route, name, _, _ in listed(product):
            # A page shows the refusal above its form.
            if "<" in route.rule or route.rule.startswith("/ui/"):
                continue
            for value in ({"a": 1}, 1.5, True, '["a"', "[a]"):
                if route.methods == ("GET",) and not isinstance(value, str):
                    continue
                request = (
                    {"query_string": {name: value}}
                    if route.methods == ("GET",)
                    else {"json": {name: value}}
                )
                reply = product.client.open(
                    route.rule, method=route.methods[-1], headers=alice, **request
                )
                assert reply.status_code == 400, (route.rule, name, value)
                fields = reply.json["status"]["error"]["fields"]
                assert fields[name].startswith("A list is needed"), (route.rule, name, value)

    def test_is_stored_by_a_watcher(self, product):
        alice = product.cast.headers("alice")
        user_id = product.plant("user")
        requested = {"chips": '["cpu","host"]', "email_user_ids": f"[{user_id}]", "alert": "true"}
        reply = product.client.post("/watcher/create", data=requested, headers=alice)
        assert reply.status_code == 200
        watcher = reply.json["data"]["watcher"]
        assert watcher["chips"] == ["cpu", "host"]
        assert watcher["email_user_ids"] == [user_id]
        path = f"/watcher/{watcher['id']}/update"
        for chips, expected in (
            ({"chips": ["memory", "disk,swap"]}, ["memory", "disk", "swap"]),
            ({"chips": 'm{a="1",b="2"}'}, ['m{a="1",b="2"}']),
        ):
            reply = product.client.post(path, data=chips, headers=alice)
            assert reply.json["data"]["watcher"]["chips"] == expected

    def test_keeps_labelled_names_whole(self, product):
        alice = product.cast.headers("alice")
        session_id, _ = product.fresh_owner()
        key = product.client.post(
            "/org/tokens/create",
            data={"name": "sender", "scopes": '["ingest"]'},
            headers={"X-Session-Id": session_id},
        ).json["data"]["secret"]
        moment = product.client.get("/ping").json["status"]["created_timestamp"]
        name = 'm{a="1",b="2"}'
        reply = product.client.post(
            "/flux/metric_data_post",
            json={"key": key, "metrics": [{"metric": name, "timestamp": moment, "value": 1}]},
        )
        assert reply.status_code in {200, 204}
        for names in (name, f"{name},n", json.dumps([name])):
            reply = product.client.post(
                "/org/removequotametrics", data={"metrics": names}, headers=alice
            )
            assert reply.json["data"]["removed"] == [name], names
