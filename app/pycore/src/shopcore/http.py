"""The route class that every endpoint uses, and the handlers that turn faults into problems."""

import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match

from shopcore.middleware import body_too_large
from shopcore.problems import FieldError, Problem, ProblemType, problem_response

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class ContractRequest(Request):
    """Reads a body as the contract has it: JSON in UTF-8, with or without a byte order mark."""

    async def json(self) -> Any:
        """Return the body; FastAPI turns what is raised here into a 400."""
        text = (await self.body()).decode("utf-8-sig")
        return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class ContractRoute(APIRoute):
    """Checks the body's media type before FastAPI reads the body, strictly."""

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler behind the check."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def json_only(request: Request) -> Response:
            require_json(request)
            return await handle(ContractRequest(request.scope, request.receive))

        return json_only


def require_json(request: Request) -> None:
    """Raise the 415 problem unless the body is declared as JSON in UTF-8."""
    declared = request.headers.get("content-type", "")
    media_type, _, parameters = declared.partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if media_type.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise Problem(
            ProblemType.UNSUPPORTED_MEDIA_TYPE, "Send the body with Content-Type: application/json."
        )


async def answer_problem(request: Request, error: Exception) -> Response:
    """Answer a raised Problem."""
    assert isinstance(error, Problem)
    return problem_response(error, request)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Answer what Starlette and FastAPI raise themselves: 400, 404, 405, 413."""
    assert isinstance(error, HTTPException)
    return problem_response(_framework_problem(request, error), request)


def _framework_problem(request: Request, error: HTTPException) -> Problem:
    match error.status_code:
        case 400:
            return Problem(ProblemType.MALFORMED_JSON, "The body cannot be parsed as JSON.")
        case 405:
            allowed = ", ".join(sorted(_allowed_methods(request)))
            return Problem(
                ProblemType.METHOD_NOT_ALLOWED,
                f"This path takes {allowed}.",
                headers={"Allow": allowed},
            )
        case 413:
            return body_too_large()
        case 404:
            return Problem(ProblemType.NOT_FOUND, "No resource of the shop has this path.")
        case _:
            return Problem(ProblemType.INTERNAL, "The request could not be completed.")


def _allowed_methods(request: Request) -> set[str]:
    # Starlette names the methods of the first route of that path only.
    methods: set[str] = set()
    for route in request.app.state.known_routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods
    return methods


async def answer_invalid_request(request: Request, error: Exception) -> Response:
    """Answer a request that does not fit the contract: 400 for broken JSON, else 422."""
    assert isinstance(error, RequestValidationError)
    faults: Sequence[dict[str, Any]] = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        problem = Problem(ProblemType.MALFORMED_JSON, "The body cannot be parsed as JSON.")
    else:
        problem = invalid_request([_field_error(fault) for fault in faults])
    return problem_response(problem, request)


def invalid_request(errors: Sequence[FieldError]) -> Problem:
    """Return the 422 problem with the faults found."""
    return Problem(
        ProblemType.VALIDATION, "One or more values do not fit the contract.", errors=errors
    )


def _field_error(fault: dict[str, Any]) -> FieldError:
    # The input itself is left out: it may be a password.
    location, *path = (str(part) for part in fault["loc"])
    return FieldError(location, ".".join(path), fault["msg"])
