"""Pages and mails: read models in, text out; jinja2 templates, one stylesheet, no script."""

from shared.pages.headers import HEADERS, STYLESHEET_HEADERS
from shared.pages.mails import Mail, render_mail
from shared.pages.render import (
    APPROVAL_STATUS,
    STYLESHEET,
    render_approval,
    render_approval_circuit,
    render_circuit,
    render_drift,
    render_error,
    render_release,
    render_releases,
    render_rollback,
    render_rollback_form,
)

__all__ = [
    "APPROVAL_STATUS",
    "HEADERS",
    "STYLESHEET",
    "STYLESHEET_HEADERS",
    "Mail",
    "render_approval",
    "render_approval_circuit",
    "render_circuit",
    "render_drift",
    "render_error",
    "render_mail",
    "render_release",
    "render_releases",
    "render_rollback",
    "render_rollback_form",
]
