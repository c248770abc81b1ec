"""A service of several files, built as FastAPI's tutorial builds one: routers, dependencies, SQL, static files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi.staticfiles import StaticFiles

from .database import Base, engine
from .dependencies import get_query_token, get_token_header
from .internal import admin
from .routers import heroes, items


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    Base.metadata.create_all(engine)
    yield


app = FastAPI(lifespan=lifespan)
app.include_router(items.router)
app.include_router(heroes.router)
app.include_router(
    admin.router, prefix="/admin", dependencies=[Depends(get_token_header)], responses={418: {"description": "Teapot"}}
)
app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")


@app.get("/", dependencies=[Depends(get_query_token)])
async def root() -> dict[str, str]:
    return {"message": "Hello Bigger Applications!"}
