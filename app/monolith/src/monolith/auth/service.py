"""What accounts can do."""

from monolith.auth import repository
from monolith.auth.passwords import Passwords
from monolith.auth.repository import Account
from monolith.auth.schemas import Credentials, Registration, TokenPair
from monolith.auth.sessions import LoginBrake, Sessions
from monolith.auth.tokens import AccessTokens
from shopcore.database import Database
from shopcore.problems import Problem, ProblemType


class AuthService:
    """Registration, log-in, refresh and log-out."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        tokens: AccessTokens,
        sessions: Sessions,
        brake: LoginBrake,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._tokens = tokens
        self._sessions = sessions
        self._brake = brake

    async def register(self, registration: Registration) -> Account:
        """Create an account; 409 if the address is taken."""
        password_hash = await self._passwords.hash(registration.password.get_secret_value())
        async with self._database.transaction() as connection:
            account = await repository.add(
                connection,
                email=registration.email,
                name=registration.name,
                password_hash=password_hash,
            )
        if account is None:
            raise Problem(ProblemType.EMAIL_TAKEN, "An account with this address exists.")
        return account

    async def log_in(self, credentials: Credentials) -> TokenPair:
        """Return tokens; 401 for wrong credentials, 429 after too many of them."""
        await self._brake.check(credentials.email)
        async with self._database.transaction() as connection:
            account = await repository.find_by_email(connection, credentials.email)
        matches = await self._passwords.matches(
            account.password_hash if account else None, credentials.password.get_secret_value()
        )
        if account is None or not matches:
            await self._brake.count_failure(credentials.email)
            raise Problem(
                ProblemType.INVALID_CREDENTIALS,
                "No account has this address and password.",
                headers={"WWW-Authenticate": 'Bearer realm="triptych"'},
            )
        return TokenPair(
            access_token=self._tokens.issue(account.id),
            expires_in=self._tokens.ttl_s,
            refresh_token=await self._sessions.open(account.id),
            refresh_expires_in=self._sessions.ttl_s,
        )

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Trade a refresh token for new tokens; 401 if it was used or has expired."""
        user_id = await self._sessions.redeem(refresh_token)
        if user_id is None:
            raise Problem(
                ProblemType.INVALID_REFRESH_TOKEN,
                "The refresh token is unknown, used or expired; log in again.",
                headers={"WWW-Authenticate": 'Bearer realm="triptych", error="invalid_token"'},
            )
        return TokenPair(
            access_token=self._tokens.issue(user_id),
            expires_in=self._tokens.ttl_s,
            refresh_token=await self._sessions.open(user_id),
            refresh_expires_in=self._sessions.ttl_s,
        )

    async def log_out(self, refresh_token: str) -> None:
        """End the session of a refresh token."""
        await self._sessions.close(refresh_token)
