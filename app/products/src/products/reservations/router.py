"""Endpoints of the reservations; the gateway has no way to them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from products.reservations.schemas import Reservation, WantedReservation
from products.reservations.service import Reservations
from shopcore.http import ContractRoute
from shopcore.schemas import UuidText

router = APIRouter(route_class=ContractRoute)


async def _service(request: Request) -> Reservations:
    service: Reservations = request.app.state.services.reservations
    return service


Service = Annotated[Reservations, Depends(_service)]


@router.put("/internal/v1/reservations/{reservation_id}")
async def make_reservation(
    reservation_id: UuidText, wanted: WantedReservation, service: Service
) -> Reservation:
    """Take stock for an order."""
    quantities = {line.product_id: line.quantity for line in wanted.lines}
    return await service.make(UUID(reservation_id), quantities)


@router.delete(
    "/internal/v1/reservations/{reservation_id}", status_code=204, response_class=Response
)
async def release_reservation(reservation_id: UuidText, service: Service) -> None:
    """Give the stock of an order back."""
    await service.release(UUID(reservation_id))
