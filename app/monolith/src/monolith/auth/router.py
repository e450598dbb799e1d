"""Endpoints of the auth module."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from monolith.auth.schemas import Credentials, RefreshRequest, Registration, TokenPair, User
from monolith.auth.service import AuthService
from shopcore.http import ContractRoute

router = APIRouter(route_class=ContractRoute)


async def _service(request: Request) -> AuthService:
    service: AuthService = request.app.state.services.auth
    return service


Service = Annotated[AuthService, Depends(_service)]


@router.post("/api/v1/auth/register", status_code=201)
async def register(registration: Registration, service: Service) -> User:
    """Create an account."""
    account = await service.register(registration)
    return User(
        id=account.id, email=account.email, name=account.name, created_at=account.created_at
    )


@router.post("/api/v1/auth/login")
async def log_in(credentials: Credentials, service: Service, response: Response) -> TokenPair:
    """Trade credentials for tokens."""
    response.headers["Cache-Control"] = "no-store"
    return await service.log_in(credentials)


@router.post("/api/v1/auth/refresh")
async def refresh(body: RefreshRequest, service: Service, response: Response) -> TokenPair:
    """Trade a refresh token for new tokens."""
    response.headers["Cache-Control"] = "no-store"
    return await service.refresh(body.refresh_token)


@router.post("/api/v1/auth/logout", status_code=204, response_class=Response)
async def log_out(body: RefreshRequest, service: Service) -> None:
    """End a session."""
    await service.log_out(body.refresh_token)


@router.get("/.well-known/jwks.json")
async def published_keys(request: Request, response: Response) -> dict[str, Any]:
    """Return the keys that check access tokens."""
    response.headers["Cache-Control"] = "public, max-age=300"
    jwks: dict[str, Any] = request.app.state.services.tokens.jwks
    return jwks
