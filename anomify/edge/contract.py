"""Declarations of routes: inputs, outputs, access and everything the documentation needs."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, ClassVar, TypeVar, cast

from flask import Blueprint, Flask, Response, current_app, make_response, request
from flask.blueprints import BlueprintSetupState
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationInfo, field_validator
from werkzeug.exceptions import MethodNotAllowed

from anomify.edge.access import INGEST, Access
from anomify.edge.list_text import as_list, lists_of
from anomify.edge.parameters import has_unstorable, read_inputs
from anomify.edge.problem import Problem, answer_problems_under
from anomify.edge.transaction import transaction
from anomify.errors import AnomifyError, Invalid, NotFound

ROUTES_KEY = "anomify_routes"
# The largest integer that databases store.
INTEGER_MAX = 2**63 - 1
# The key in an input's schema for the kind of thing that it names.
NAMES_KEY = "x-names"
JSON_MEDIA = "application/json"
PAGE_MEDIA = "text/html"

View = TypeVar("View", bound=Callable[..., Any])


class Inputs(BaseModel):
    """The base class of inputs.

    Forms have only texts, so the texts `true`, `12` and `1.5` are accepted as values of their
    types, and a list is read as `list_text` describes. Undeclared parameters are refused by routes
    that change something and ignored by routes that only read.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    @field_validator("*", mode="before")
    @classmethod
    def _listed(cls, value: object, info: ValidationInfo) -> object:
        if info.field_name not in lists_of(cls):
            return value
        listed = as_list(value)
        # In a list written as JSON such a character was escaped when the parameter was checked.
        if has_unstorable(listed):
            raise ValueError("Take out NUL characters and broken ones.")
        return listed

    @field_validator("*", mode="after")
    @classmethod
    def _fits(cls, value: object) -> object:
        if isinstance(value, int) and abs(value) > INTEGER_MAX:
            raise ValueError("This number is too large.")
        return value


def names(kind: str | None) -> dict[str, JsonValue]:
    """Mark an input that names an object: `Field(json_schema_extra=names("watcher"))`.

    It may be an id, a list of ids, or a name. The documentation shows the mark, and the generated
    tests use it to request objects of other orgs, so every such input has to be marked. An input
    that only looks like one (words of a name, a new name) is marked `names(None)`.
    """
    return {NAMES_KEY: kind}


class Outputs(BaseModel):
    """The base class of outputs; a field that is not declared is never sent."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)


@dataclass(frozen=True)
class Body:
    """A kind of request body, for the documentation; without a shape it is bytes."""

    media: str
    description: str
    shapes: tuple[type[BaseModel], ...] = ()


@dataclass(frozen=True)
class DeclaredReply:
    """A successful or special reply, for the documentation; without a media type it has no body."""

    status: int
    description: str
    media: str | None = None
    shapes: tuple[type[BaseModel], ...] = ()


@dataclass(frozen=True)
class Wire:
    """The bodies and replies of a route that reads its request or writes its reply by itself."""

    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    bodies: tuple[Body, ...] = ()
    replies: tuple[DeclaredReply, ...] = ()


@dataclass(frozen=True)
class Declared:
    """A declared route; the documentation and the generated tests are made of all of them."""

    endpoint: str
    # Every rule with the blueprint's URL prefix; the first one is shown.
    rules: tuple[str, ...]
    methods: tuple[str, ...]
    inputs: type[Inputs] | None
    outputs: type[Outputs] | None
    access: Access
    # Whether it changes something; then CSRF is checked, and GET with a cookie is refused.
    changes: bool
    # The first line of the view's docstring, and the rest of it.
    summary: str
    description: str
    # The group it is documented under; by default the first word of its address.
    tag: str
    # The classes of limits that it counts against; None for the default of its access.
    limits: tuple[str, ...] | None
    # Statuses of failures beyond those that any route of its kind may answer, such as 409.
    errors: tuple[int, ...]
    # The media type of a successful reply: JSON, a picture, a script.
    media: str
    # For routes whose requests or replies differ from their blueprint's.
    wire: Wire | None
    # The shape of the blueprint's `status` beside the data, and of its errors.
    status_shape: type[BaseModel] | None
    problem_shape: type[BaseModel] | None
    # Pages: only the session cookie authenticates, no header, parameter or token.
    is_cookie_only: bool

    @property
    def rule(self) -> str:
        """Return the rule to show."""
        return self.rules[0]

    @property
    def is_page(self) -> bool:
        """Return whether it is an HTML page, and so not a part of the API."""
        return self.is_cookie_only or self.media == PAGE_MEDIA


class DeclaredBlueprint(Blueprint):
    """A blueprint whose routes are declared, and which renders failures in its own format."""

    is_cookie_only: ClassVar[bool] = False
    # Unknown URLs under these prefixes are answered by this blueprint, too.
    answers_under: ClassVar[tuple[str, ...]] = ()
    # For the documentation: `status` in the envelope of a reply, and the body of an error.
    status_shape: ClassVar[type[BaseModel] | None] = None
    problem_shape: ClassVar[type[BaseModel] | None] = None

    def __init__(self, name: str, import_name: str, **more: Any) -> None:
        """Create the blueprint; `more` are the parameters of Flask's blueprints."""
        super().__init__(name, import_name, **more)
        for prefix in self.answers_under:
            self.record(partial(self._answer_under, prefix))

    def route(  # type: ignore[override] # a declared route has more parameters than Flask's
        self,
        *rules: str,
        access: Access,
        inputs: type[Inputs] | None = None,
        outputs: type[Outputs] | None = None,
        changes: bool = False,
        methods: Sequence[str] = ("GET", "POST"),
        endpoint: str | None = None,
        has_own_transactions: bool = False,
        tag: str | None = None,
        limits: Sequence[str] | None = None,
        errors: Sequence[int] = (),
        media: str = JSON_MEDIA,
        wire: Wire | None = None,
        otherwise: Callable[[AnomifyError], Any] | None = None,
    ) -> Callable[[View], View]:
        """Declare a route and register the view for it.

        The view is called with its validated inputs; without `inputs`, with the path's values by
        name. It runs inside one unit of work, which writes if `changes` is true and is committed
        before the reply is made; with `has_own_transactions` the view opens its own. Its result is
        passed to `respond`.

        The other parameters are for the documentation and are checked by the generated tests:
        `errors` are statuses of errors that are special to this route (409, 410, 422), `media` is
        the type of a reply that is not JSON, `limits` are classes of limits other than the default,
        and `wire` describes a request or reply that the route reads or writes by itself.

        `otherwise` is called, outside of a unit of work, if the URL names nothing that exists or an
        input is missing or wrong: it returns another result, or raises the error again.
        """

        def declare(view: View) -> View:
            name = endpoint or view.__name__
            summary, _, description = inspect.cleandoc(view.__doc__ or "").partition("\n")

            @wraps(view)
            def answer(**path: object) -> Response:
                if request.method == "HEAD" and (changes or access == INGEST):
                    # A HEAD request must not change anything.
                    raise MethodNotAllowed(valid_methods=list(methods))
                try:
                    found = run(path)
                except (Invalid, NotFound) as error:
                    if otherwise is None:
                        raise
                    found = otherwise(error)
                return self.respond(found)

            def run(path: Mapping[str, object]) -> Any:
                call = (
                    partial(view, **path)
                    if inputs is None
                    else partial(view, read_inputs(inputs, path, refuses_unknown=changes))
                )
                if has_own_transactions:
                    return call()
                with transaction(write=changes):
                    return call()

            def keep(state: BlueprintSetupState) -> None:
                declared = Declared(
                    endpoint=f"{state.name_prefix}.{state.name}.{name}".lstrip("."),
                    rules=tuple((state.url_prefix or "").rstrip("/") + rule for rule in rules),
                    methods=tuple(methods),
                    inputs=inputs,
                    outputs=outputs,
                    access=access,
                    changes=changes,
                    summary=summary,
                    description=description.strip(),
                    tag=tag or _first_word((state.url_prefix or "") + rules[0]),
                    limits=None if limits is None else tuple(limits),
                    errors=tuple(errors),
                    media=media,
                    wire=wire,
                    status_shape=self.status_shape,
                    problem_shape=self.problem_shape,
                    is_cookie_only=self.is_cookie_only,
                )
                state.app.extensions.setdefault(ROUTES_KEY, {})[declared.endpoint] = declared

            for rule in rules:
                self.add_url_rule(rule, name, answer, methods=list(methods))
            self.record(keep)
            return view

        return declare

    def respond(self, found: Any) -> Response:
        """Return the reply for a view's result; blueprints with their own format override it."""
        return make_response(found)

    def respond_problem(self, problem: Problem) -> Response:
        """Return the reply for an error; blueprints with their own format override it."""
        reply = make_response(f"{problem.message}\n", problem.status)
        reply.mimetype = "text/plain"
        return reply

    def _answer_under(self, prefix: str, state: BlueprintSetupState) -> None:
        answer_problems_under(cast("Flask", state.app), prefix, self)


def _first_word(rule: str) -> str:
    return rule.strip("/").split("/")[0]


def declared_routes(app: Flask) -> dict[str, Declared]:
    """Return every declared route of the app, by endpoint."""
    found: dict[str, Declared] = app.extensions.setdefault(ROUTES_KEY, {})
    return found


def current_route() -> Declared | None:
    """Return the route of the current request; None for unknown URLs and files."""
    return declared_routes(current_app).get(request.endpoint or "")


def check_declared(app: Flask) -> None:
    """Raise `RuntimeError` if a route of the app does not declare its access."""
    declared = declared_routes(app)
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static" or rule.endpoint.endswith(".static"):
            continue
        if rule.endpoint not in declared:
            raise RuntimeError(f"the route {rule.rule} does not declare its access")
