"""Every blueprint of the native API."""

from flask import Blueprint

from anomify.native import (
    billing,
    contact_point,
    delivery,
    doc,
    exclusion,
    image,
    incident,
    js,
    login,
    misc,
    operators,
    ping,
    silence,
    status,
    watcher,
)
from anomify.native.anomaly.blueprints import anomaly_blueprints
from anomify.native.match.blueprints import match_blueprints
from anomify.native.metric.blueprints import metric_blueprints
from anomify.native.org import (
    admin_alerts,
    audit,
    channels,
    deletion,
    events,
    info,
    overview,
    quota,
    slackcallback,
    stripecallback,
    telegramcallback,
    testmetrics,
    tokens,
    users,
)
from anomify.native.pattern.blueprints import pattern_blueprints
from anomify.native.signup import invitation, signup
from anomify.native.user import account, sessions, totp


def native_blueprints() -> tuple[Blueprint, ...]:
    """Return the blueprints in the order in which they are registered."""
    modules = (
        *(billing, contact_point, delivery, doc, exclusion, image, incident, js, login),
        *(misc, operators, ping),
        *(admin_alerts, audit, channels, deletion, events, info, overview, quota),
        *(silence, slackcallback, status, stripecallback, telegramcallback),
        *(testmetrics, tokens, users),
        *(invitation, signup),
        *(account, sessions, totp),
        watcher,
    )
    folders = (
        *(*anomaly_blueprints(), *match_blueprints(), *metric_blueprints()),
        *pattern_blueprints(),
    )
    return (*folders, *(module.blueprint for module in modules))
