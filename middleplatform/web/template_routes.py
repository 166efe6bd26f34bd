"""The endpoint of approved query templates: which are open to the caller.

Spec: docs/spec/grants.md, "Approved templates".
"""

from fastapi import Request, Response

from middleplatform.access.offered import templates
from middleplatform.policy.templates import offers
from middleplatform.web import bodies
from middleplatform.web.guard import subject_of
from middleplatform.web.replies import Route, json_reply, locale

__all__ = ["ROUTES"]


def list_templates(request: Request) -> Response:
    """List the approved query templates that are open to you: each is answered without an application."""
    gateway = request.app.state.gateway
    found = offers(gateway.rules(), subject_of(request), gateway.clock.now())
    return json_reply({"templates": templates(found, locale(request))})


ROUTES = (Route("GET", "/v1/templates", list_templates, bodies.TemplatesBody),)
