"""The service in FastAPI: one part is a router, one a mounted app."""

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, Response, StreamingResponse

app, sub, router = FastAPI(), FastAPI(), APIRouter(prefix="/class")
STATUSES = {"GET": 200, "HEAD": 200, "POST": 201, "DELETE": 204}


class Part:
    def __init__(self, n: str) -> None:
        self.name = n


@app.api_route("/items/{n}", methods=["GET", "HEAD", "POST", "DELETE"])
async def item(n: str, request: Request) -> Response:
    return Response(status_code=STATUSES[request.method])


@app.get("/cached/{n}")
async def cached(n: str) -> Response:
    return Response(status_code=304)


@app.get("/missing/{n}")
async def missing(n: str) -> None:
    raise HTTPException(404)


@app.get("/boom/{n}")
def boom(n: str) -> None:
    raise RuntimeError(n)


@app.get("/stream/{n}")
def stream(n: str) -> StreamingResponse:
    return StreamingResponse(iter("abc"))


@app.get("/file/{n}")
async def file(n: str) -> FileResponse:
    return FileResponse(__file__)


@router.get("/{n}")
async def part(part: Part = Depends()) -> str:  # noqa: B008
    return part.name


@sub.get("/things/{n}")
async def thing(n: str) -> str:
    return n


app.include_router(router)
app.mount("/sub", sub)
