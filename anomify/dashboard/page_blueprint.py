"""The blueprint class of pages: only cookies identify the caller; others go to the sign-in page."""

import re
from typing import Any, ClassVar, Final, cast
from urllib.parse import urlencode

from flask import Flask, Response, make_response, redirect, render_template, request
from flask.blueprints import BlueprintSetupState
from markupsafe import Markup

from anomify.auth.csrf import PARAMETER, csrf_token
from anomify.dashboard.wording import labels, plain_name, thousands
from anomify.edge.contract import DeclaredBlueprint
from anomify.edge.problem import Problem, answer_problems_under
from anomify.edge.request_id import request_id

PREFIX: Final = "/ui"
HOME: Final = "/ui/"
SIGN_IN: Final = "/ui/login"
_UNAUTHENTICATED: Final = 401
_OWN_PATH: Final = re.compile(r"/ui/[^\\\x00-\x20\x7f]*\Z")
_HEADINGS: Final = {
    400: "This address does not work",
    403: "This is not allowed",
    404: "There is nothing here",
    405: "This address accepts only forms",
    409: "This has changed in the meantime",
    413: "This is too large",
    429: "Too many tries",
    500: "Something went wrong on our side",
    503: "The server is busy",
}


class PageBlueprint(DeclaredBlueprint):
    """A blueprint whose views return HTML or a response, and whose errors are pages too."""

    is_cookie_only: ClassVar[bool] = True

    def __init__(self, name: str, import_name: str) -> None:
        """Create the blueprint and register the template filters that pages use."""
        super().__init__(name, import_name)
        for template_filter in (labels, plain_name, thousands):
            self.add_app_template_filter(template_filter)
        self.add_app_template_global(csrf_field)
        self.record_once(self._answer_for_unknown_pages)

    def respond_problem(self, problem: Problem) -> Response:
        """Return an error page, or for a missing session a redirect to the sign-in page."""
        if problem.status == _UNAUTHENTICATED:
            return _to_sign_in()
        page = render_template(
            "dashboard/error.html",
            code=problem.status,
            heading=_HEADINGS.get(problem.status, "This did not work"),
            sentence=problem.message,
            request_id=request_id(),
        )
        return make_response(page, problem.status)

    def _answer_for_unknown_pages(self, state: BlueprintSetupState) -> None:
        answer_problems_under(cast("Flask", state.app), PREFIX, self)


def csrf_field() -> Markup:
    """Return the hidden form field with the CSRF token."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(PARAMETER, csrf_token())


def local_path(path: str) -> str:
    """Return the path if it is below /ui/, otherwise the start page: no open redirect."""
    return path if _OWN_PATH.match(path) else HOME


def address(path: str, /, **parameters: Any) -> str:
    """Return the path with those parameters in the query that are neither empty nor None."""
    given = {name: value for name, value in parameters.items() if value not in {None, ""}}
    return f"{path}?{urlencode(given)}" if given else path


def _to_sign_in() -> Response:
    requested = request.full_path.rstrip("?") if request.method == "GET" else HOME
    wanted = local_path(requested)
    return make_response(redirect(address(SIGN_IN, next="" if wanted == HOME else wanted)))
