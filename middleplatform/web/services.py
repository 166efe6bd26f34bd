"""What routes and pages call: one object for both, so that neither face has logic of its own."""

from dataclasses import dataclass
from functools import cached_property

from fastapi import Request

from middleplatform.access.tokens import TokenStore
from middleplatform.accountability.accounts import Accounts
from middleplatform.accountability.inspection import Check
from middleplatform.accountability.ticket_desk import TicketDesk
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.demo.runtime import Platform
from middleplatform.errors import ConfigError
from middleplatform.governance.freezes import Freezing
from middleplatform.governance.handling import Handling
from middleplatform.governance.lifecycle import Lifecycle
from middleplatform.governance.notebook import Notebook
from middleplatform.governance.terms import Rules
from middleplatform.governance.workdays import Calendar
from middleplatform.login.opened import Login
from middleplatform.login.sessions import Sessions
from middleplatform.login.token_desk import TokenDesk
from middleplatform.model.request import Role
from middleplatform.policy import holidays, regulation
from middleplatform.settings import Settings
from middleplatform.web.public_pages import PublicPages

__all__ = ["Services", "services_of"]


@dataclass
class Services:
    """The platform's desks.

    Attributes:
        platform: Gateway, log, nodes.
        login: What lets people in; None where nobody logs in.
    """

    platform: Platform
    login: Login | None = None

    @property
    def settings(self) -> Settings:
        """What the operator set."""
        return self.platform.settings

    @property
    def logins(self) -> Login:
        """What lets people in.

        Raises:
            ConfigError: C015 this platform has no store.
        """
        if self.login is None:
            raise ConfigError("C015", what=("there is none", "未配置"))
        return self.login

    @property
    def sessions(self) -> Sessions | None:
        """Who is logged in; None where nobody can be."""
        return None if self.login is None else self.login.sessions

    @property
    def lifecycle(self) -> Lifecycle:
        """The policy's life-cycle.

        Raises:
            ConfigError: C015 this platform has no store.
        """
        if self.platform.lifecycle is None:
            raise ConfigError("C015", what=("there is none", "未配置"))
        return self.platform.lifecycle

    @cached_property
    def rules(self) -> Rules:
        """Deadlines and working days."""
        return Rules(
            regulation.load(self.settings.regulation),
            Calendar(holidays.load(self.settings.calendar)),
        )

    @property
    def freezes(self) -> Freezing:
        """Return the desk of stops.

        Raises:
            ConfigError: C015 this platform has no store.
        """
        lifecycle = self.lifecycle
        return Freezing(lifecycle.desk, lifecycle.catalog)

    def beside(self) -> list[tuple[str, frozenset[Role]]]:
        """Return login and roles of every session that lets somebody in now."""
        open_now = () if self.login is None else self.login.sessions.listed()
        return [(each.subject.id, each.subject.roles) for each in open_now]

    def token_desk(self, tokens: TokenStore) -> TokenDesk:
        """Return the desk of service tokens.

        Raises:
            ConfigError: C015 this platform has no store.
        """
        return TokenDesk(tokens, self.lifecycle.desk, self.beside)

    def inspection(self, tokens: TokenStore) -> tuple[Check, ...]:
        """Return the checklist of an inspection, over everybody whom a token or a session lets in now.

        Raises:
            ConfigError: C015 this platform has no store.
        """
        return self.accounts().inspection([*tokens.holders(), *self.beside()])

    def accounts(self) -> Accounts:
        """Return what can be accounted for, under the policy in force.

        Raises:
            ConfigError: C015 this platform has no store.
        """
        lifecycle, log = self.lifecycle, self.platform.gateway.audit
        parts = (log, lifecycle.desk.store, lifecycle.catalog, lifecycle.standing().bundle)
        return Accounts(*parts, self.rules, lifecycle.desk.clock)

    @cached_property
    def public_pages(self) -> PublicPages:
        """Return the pages for the public."""
        return PublicPages(self.accounts)

    def tickets(self) -> TicketDesk:
        """Return the desk of objections and corrections.

        Raises:
            ConfigError: C015 this platform has no store.
        """
        return self.accounts().tickets(self.lifecycle.desk)

    @cached_property
    def report_signer(self) -> CheckpointSigner:
        """The log's key, which signs reports of decisions.

        Raises:
            ConfigError: C006 it cannot be read.
        """
        return CheckpointSigner.load(self.settings.state / "audit.key")

    @property
    def notebook(self) -> Notebook:
        """Return the desk of saved questions.

        Raises:
            ConfigError: C015 this platform has no store.
        """
        return Notebook(self.lifecycle.desk)

    def handling(self) -> Handling:
        """Return the desk of applications, under the policy in force."""
        lifecycle = self.lifecycle
        return Handling(lifecycle.desk, lifecycle.standing().bundle, self.rules)


def services_of(request: Request) -> Services:
    """Return the application's services."""
    services: Services = request.app.state.services
    return services
