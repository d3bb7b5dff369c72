"""Who is calling: an API key or a signed-in browser, as an `Actor`."""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from labeling.api.limits import allowance_of
from labeling.history.actor import Actor
from labeling.projects.key_use import note_key_use
from labeling.projects.models import ApiKey
from labeling.projects.services import digest_of

_BEARER = "Bearer "


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <api key>`. The key is looked up at each request, so a revoked one is refused at once."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, Actor] | None:
        plain = bearer_of(request)
        if plain is None:
            return None
        key = find_key(plain)
        if key is None:
            raise AuthenticationFailed("The API key is unknown or revoked.", code="key_invalid")
        allowance = allowance_of(key)
        if allowance is not None:
            allowance.take_request()
        return key.member, actor_of_key(key)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API key"}


def bearer_of(request: HttpRequest | Request) -> str | None:
    """The key sent with a request, or none."""
    header = request.META.get("HTTP_AUTHORIZATION", "")
    return header[len(_BEARER) :].strip() if header.startswith(_BEARER) else None


def find_key(plain: str) -> ApiKey | None:
    """The key that is good now, with its member, or none."""
    key = (
        ApiKey.objects.select_related("member")
        .filter(digest=digest_of(plain), revoked_at=None, member__is_active=True)
        .first()
    )
    if key is not None:
        note_key_use(key.pk)
    return key


def actor_of_key(key: ApiKey) -> Actor:
    """A key acts as its member, within its scopes and its project."""
    return Actor(
        user_id=key.member_id,
        username=key.member.get_username(),
        is_admin=key.member.is_superuser,
        key_id=key.pk,
        scopes=frozenset(key.scopes),
        project_id=key.project_id,
    )


def actor_of(request: Request) -> Actor:
    """Who a view acts for."""
    if isinstance(request.auth, Actor):
        return request.auth
    user = request.user
    if user.pk is None:
        raise NotAuthenticated
    return Actor(user_id=user.pk, username=user.get_username(), is_admin=user.is_superuser)
