"""Bodies of the endpoints of freezes and alerts."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from middleplatform.web.bodies_policy import Next, Said

__all__ = ["AlertBody", "AlertsBody", "FreezeBody", "FreezeDraft", "FreezesBody"]

_Scope = Literal["platform", "department", "dataset", "project", "user"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class FreezeDraft(_Body):
    """What to stop, and why."""

    scope: _Scope
    target: Annotated[
        str,
        Field(max_length=200, pattern=r"^[^\x00]*$", description="Which; empty for the platform."),
    ] = ""
    reason: Said
    hours: Annotated[
        int | None,
        Field(ge=1, le=8760, description="Ends by itself after so many; else two people end it."),
    ] = None
    drill: Annotated[bool, Field(description="Record it and stop nothing.")] = False


class ConsentBody(_Body):
    """One person's yes to the end."""

    person: str
    department: str
    capacity: str
    reason: str
    at: str


class FreezeBody(_Body):
    """A freeze, and how far its end is."""

    number: int
    scope: _Scope
    target: str
    reason: str
    by: str
    department: str
    capacity: str
    at: str
    ends: str | None
    drill: bool
    state: Literal["open", "lifted", "ended"]
    consents: list[ConsentBody]


class FreezesBody(_Body):
    """A page of the freezes that you may see, oldest first."""

    freezes: list[FreezeBody]
    next: Next


class AlertBody(_Body):
    """A rule of the policy that was crossed."""

    number: int
    signal: str
    per: str
    target: str
    measured: str
    most: str
    minutes: int
    person: str
    department: str
    project: str
    entry: int
    at: str
    freeze: int | None


class AlertsBody(_Body):
    """A page of alerts, oldest first."""

    alerts: list[AlertBody]
    next: Next
