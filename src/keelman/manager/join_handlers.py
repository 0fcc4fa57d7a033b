"""How workers join a manager: its handlers, and the part of its routes that is about it.

Two of these are open to whoever comes: the CA, which is no secret, and the request to join, which
shows a secret of its own.
"""

from __future__ import annotations

from aiohttp.web import Request, Response

from keelman import errors, invitation, wire
from keelman.api import CALLER, STRANGER, Handler, json_response, read_json
from keelman.audit_log import Subject
from keelman.auditor import SUBJECT
from keelman.manager.manager import Manager
from keelman.routes import Answer, Route

PEM = "application/x-pem-file"


async def invite_node(request: Request, manager: Manager) -> Response:
    """Invite a worker to join as a node."""
    asked = invitation.decode_invitation(await read_json(request))
    request[SUBJECT] = Subject(name=asked.name)
    return json_response(wire.encode_value(await manager.invitations.invite(asked)), status=201)


async def get_ca(_request: Request, manager: Manager) -> Response:
    """Show the CA by whose digest a worker that joins knows the manager."""
    return Response(text=manager.invitations.ca(), content_type=PEM)


async def join_node(request: Request, manager: Manager) -> Response:
    """Join as a node, by an invitation."""
    asked, peer = invitation.decode_join(await read_json(request)), _peer(request)
    request[SUBJECT] = Subject(name=asked.name)
    manager.invitations.welcome(asked, peer)
    request[CALLER], request[STRANGER] = f"invitation:{asked.name}", False
    answer = await manager.invitations.join(asked, peer)
    return json_response(wire.encode_value(answer), status=201)


def _peer(request: Request) -> str:
    found = request.get_extra_info("peername")
    return str(found[0]) if isinstance(found, tuple) else ""


_SENT = (errors.Malformed, errors.BadField, errors.RequestTimeout, errors.TooLarge, errors.NotJson)

ROUTES: tuple[Route[Handler[Manager]], ...] = (
    Route(
        "POST",
        "/invitations",
        invite_node,
        (Answer(201, "the invitation; it is on disk", invitation.InvitationReport),),
        sent=invitation.InvitationIn,
        refusals=(*_SENT, errors.NoAuthority, errors.CannotRecord),
    ),
    Route(
        "GET",
        "/join/ca",
        get_ca,
        (Answer(200, "the certificate of the CA", media=PEM),),
        refusals=(errors.BadField, errors.NotFound),
        open=True,
    ),
    Route(
        "POST",
        "/join",
        join_node,
        (Answer(201, "the node, and its certificate", invitation.JoinReport),),
        sent=invitation.JoinIn,
        refusals=(
            *(*_SENT, errors.NotInvited, errors.NodeKnown, errors.NoAuthority),
            *(errors.TooMany, errors.CannotRecord),
        ),
        open=True,
    ),
)
