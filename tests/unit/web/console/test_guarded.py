"""Every page and every form of the console, tried by everybody who must not get through."""

import asyncio
from urllib.parse import quote

import httpx
import pytest

from middleplatform.model.request import Role

OPEN = {
    ("GET", "/console/language/{locale}"),
    ("GET", "/console/login"),
    ("POST", "/console/login"),
    ("GET", "/console/login/callback"),
    ("GET", "/console/login/oidc"),
    ("POST", "/console/logout"),
    ("GET", "/console/logout/provider"),
}
"""What somebody who is not logged in may reach; each of them is about coming in, going out or the language."""


@pytest.fixture
def answers(browser):
    """Return what asks many things in one event loop: (method, address, role, fields) → answers."""

    def ask(calls):
        async def all_of_them():
            transport = httpx.ASGITransport(browser.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return [
                    await client.request(
                        method, path, data=fields or None, headers={"Cookie": f"session={role}"}
                    )
                    for method, path, role, fields in calls
                ]

        return asyncio.run(all_of_them())

    return ask


@pytest.fixture
def table(browser):
    return {
        (method, path): roles for (method, path), roles in browser.app.state.console.table.items()
    }


def filled(path):
    return path.replace("{", "").replace("}", "")


def guarded(table):
    return {place: roles for place, roles in table.items() if roles is not None}


def test_only_coming_in_and_going_out_is_open_to_strangers(table):
    assert {place for place, roles in table.items() if roles is None} == OPEN


def test_stranger_is_sent_to_the_login_by_every_other_page_and_form(answers, table):
    calls = [
        (method, filled(path), role, {})
        for method, path in guarded(table)
        for role in ("", "nobody", "x" * 5000)
    ]
    for (method, path, _, _), found in zip(calls, answers(calls), strict=True):
        assert found.status_code == 303, (method, path)
        wanted = path if method == "GET" else "/console"
        assert found.headers["location"] == f"/console/login?next={quote(wanted)}"


def test_everybody_without_the_role_is_refused_by_every_page_and_form(answers, table):
    calls = [
        (method, filled(path), role, {"csrf": f"token-of-{role}"})
        for (method, path), roles in guarded(table).items()
        for role in set(Role) - roles
    ]
    assert calls
    for call, found in zip(calls, answers(calls), strict=True):
        assert (found.status_code, "P004" in found.text) == (403, True), call


def test_every_form_is_refused_without_the_token_of_its_session(answers, table):
    calls = [
        (method, filled(path), min(roles), {"csrf": token})
        for (method, path), roles in guarded(table).items()
        if method == "POST"
        for token in ("", "token-of-nobody", f"token-of-{max(set(Role) - {min(roles)})}")
    ]
    assert calls
    for call, found in zip(calls, answers(calls), strict=True):
        assert (found.status_code, "P004" in found.text) == (403, True), call


def test_pages_are_no_part_of_the_rest_interface(browser):
    assert not [path for path in browser.app.openapi()["paths"] if path.startswith("/console")]


def test_no_address_of_the_console_goes_past_the_guard(browser, table):
    """Files are for everybody; all else is in the table."""
    found = {
        (method, route.path)
        for route in browser.app.routes
        for method in route.methods - {"HEAD"}
        if route.path.startswith("/console")
    }
    assert found - set(table) == {("GET", "/console/static/{name}")}
