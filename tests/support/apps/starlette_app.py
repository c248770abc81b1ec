"""The service in Starlette: one part is a mounted app."""

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

STATUSES = {"GET": 200, "HEAD": 200, "POST": 201, "DELETE": 204}


class Part(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return Response(request.path_params["n"])


async def items(request: Request) -> Response:
    return Response(status_code=STATUSES[request.method])


async def cached(request: Request) -> Response:
    return Response(status_code=304)


async def missing(request: Request) -> Response:
    raise HTTPException(404)


async def boom(request: Request) -> Response:
    raise RuntimeError


def stream(request: Request) -> Response:
    return StreamingResponse(iter("abc"))


async def file(request: Request) -> Response:
    return FileResponse(__file__)


sub = Starlette(routes=[Route("/things/{n}", Part)])
app = Starlette(
    routes=[
        Route("/items/{n}", items, methods=["GET", "POST", "DELETE"]),
        *(Route(f"/{view.__name__}/{{n}}", view) for view in (cached, missing, boom, stream, file)),
        Route("/class/{n}", Part),
        Mount("/sub", sub),
    ]
)
