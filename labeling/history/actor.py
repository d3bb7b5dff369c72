"""Who is acting: a signed-in person, or an API key acting as its member."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """The person behind a request; `key_id` is set when an API key spoke for them."""

    user_id: int
    username: str
    is_admin: bool = False
    key_id: int | None = None
    scopes: frozenset[str] | None = None
    project_id: int | None = None

    def may(self, scope: str) -> bool:
        """A browser session may everything its person may; a key only what its scopes say."""
        return self.scopes is None or scope in self.scopes
