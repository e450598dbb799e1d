"""How other modules ask who is calling."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Response

from monolith.auth.tokens import AccessTokens, authentication_required
from shopcore.http import ContractRoute, Handler


class SecuredRoute(ContractRoute):
    """Checks the access token before anything else of the request is looked at."""

    def get_route_handler(self) -> Handler:
        """Return the handler behind the check."""
        handle = super().get_route_handler()

        async def authenticated(request: Request) -> Response:
            tokens: AccessTokens = request.app.state.services.tokens
            request.state.user_id = tokens.verify(_bearer_token(request))
            return await handle(request)

        return authenticated


def _bearer_token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise authentication_required(invalid=False)
    return token.strip()


async def _current_user(request: Request) -> UUID:
    user_id: UUID = request.state.user_id
    return user_id


CurrentUser = Annotated[UUID, Depends(_current_user)]
