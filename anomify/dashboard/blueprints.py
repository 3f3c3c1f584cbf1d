"""Every blueprint of the dashboard."""

from flask import Blueprint

from anomify.dashboard import (
    account,
    alert_page,
    alerts_page,
    contact_confirmation,
    contact_points_page,
    inbox,
    incident_page,
    invitation,
    match_page,
    matches_page,
    metric_page,
    metrics_page,
    oidc_sign_in,
    password_reset,
    pattern_page,
    patterns_page,
    proposals_page,
    setup,
    sign_in,
    sign_up,
    silences_page,
    training,
    triage,
    unmute,
    unsubscribe,
    watchers_page,
)


def dashboard_blueprints() -> tuple[Blueprint, ...]:
    """Return the blueprints in the order in which they are registered."""
    modules = (
        *(account, alert_page, inbox, invitation, metric_page, metrics_page, oidc_sign_in),
        *(contact_confirmation, contact_points_page),
        *(match_page, matches_page, pattern_page, patterns_page, proposals_page, training),
        *(password_reset, setup, sign_in, sign_up, silences_page, triage, unmute),
        *(alerts_page, incident_page, unsubscribe, watchers_page),
    )
    return tuple(module.blueprint for module in modules)
