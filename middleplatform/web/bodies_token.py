"""Bodies of the endpoints of service tokens and of saved questions."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from middleplatform.access.tokens import VALID_DAYS_MAX
from middleplatform.governance.notebook import NAME_MAX
from middleplatform.web.bodies_policy import Next

__all__ = [
    "MadeTokenBody", "RevocationBody", "SavedBody", "SavedDraft", "SavedListBody", "TokenBody", "TokenDraft",
    "TokensBody",
]  # fmt: skip

_RoleName = Literal[
    "analyst", "department_steward", "security_officer", "data_bureau", "auditor", "system_administrator",
]  # fmt: skip
_Region = Annotated[str, Field(pattern=r"^([0-9]{6}|\*)$")]
_Reason = Annotated[
    str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$", description="For the log.")
]  # fmt: skip
_Code = Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


# --- service tokens -----------------------------------------------------------------------------------------------


class TokenDraft(_Body):
    """Whom a token lets in, for how long, and why it is made."""

    login: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
    department: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    roles: Annotated[list[_RoleName], Field(min_length=1, max_length=6)]
    regions: Annotated[list[_Region], Field(min_length=1, max_length=500)] = ["*"]
    days: Annotated[int, Field(ge=1, le=VALID_DAYS_MAX, description="How long it holds.")] = 90
    note: Annotated[
        str, Field(max_length=500, pattern=r"^[^\x00]*$", description="What it is for.")
    ] = ""
    reason: _Reason


class RevocationBody(_Body):
    """Why a token is withdrawn."""

    reason: _Reason


class TokenBody(_Body):
    """What is known of a token; never the token."""

    id: str
    login: str
    department: str
    roles: list[_RoleName]
    regions: list[str]
    note: str
    created_at: str
    expires_at: str
    revoked_at: str | None


class MadeTokenBody(TokenBody):
    """A token that was just made: `token` is shown this once."""

    token: str


class TokensBody(_Body):
    """A page of tokens, oldest first."""

    tokens: list[TokenBody]
    next: Next


# --- saved questions ----------------------------------------------------------------------------------------------


class SavedDraft(_Body):
    """A question to keep; your question of the same name is replaced."""

    name: Annotated[
        str, Field(min_length=1, max_length=NAME_MAX, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")
    ]
    sql: Annotated[
        str, Field(min_length=1, max_length=100_000, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")
    ]
    purpose: _Code
    project: _Code = ""
    noise: Annotated[_Code, Field(description="Privacy loss to ask with, as `1/50`.")] = ""
    strict: Annotated[bool, Field(description="Refuse instead of rewriting.")] = False


class SavedBody(_Body):
    """A question that you keep."""

    number: int
    name: str
    sql: str
    purpose: str
    project: str
    noise: str
    strict: bool
    at: str


class SavedListBody(_Body):
    """A page of your saved questions, oldest first."""

    questions: list[SavedBody]
    next: Next
