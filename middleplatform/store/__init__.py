"""The platform's own records: policy versions, proposals, applications. No row of a department is among them."""

# Whoever settles an act may have to change a table of any of them, so all are declared with the first.
from middleplatform.store import applications, logins, policies

__all__ = ["applications", "logins", "policies"]
