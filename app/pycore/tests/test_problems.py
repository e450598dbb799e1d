from __future__ import annotations

import json

from shopcore.problems import FieldError, Problem, ProblemType, problem_body


def test_body_holds_members_and_extensions() -> None:
    problem = Problem(
        ProblemType.VALIDATION,
        "Two faults.",
        errors=[FieldError("body", "quantity", "too small")],
        order_id="7",
    )
    assert json.loads(problem_body(problem, "/api/v1/cart")) == {
        "type": "urn:triptych:problem:validation",
        "title": "The request does not fit the contract",
        "status": 422,
        "detail": "Two faults.",
        "instance": "/api/v1/cart",
        "request_id": "",
        "errors": [{"in": "body", "field": "quantity", "message": "too small"}],
        "order_id": "7",
    }


def test_lone_surrogates_do_not_break_the_body() -> None:
    body = problem_body(Problem(ProblemType.INTERNAL, "\ud800"), "/")
    assert b"\\ud800" in body
