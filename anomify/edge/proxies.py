"""Where a request really comes from, when proxies that we trust pass it on."""

from flask import Flask, request

from anomify.audit.recording import note_address


def install(app: Flask) -> None:
    """Let the audit trail know where each request comes from."""

    @app.before_request
    def say_address() -> None:
        note_address(request.remote_addr or "")
