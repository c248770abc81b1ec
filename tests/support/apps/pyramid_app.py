"""The service in Pyramid: one part is included below a prefix."""

import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyramid.config import Configurator
    from pyramid.httpexceptions import HTTPNotFound
    from pyramid.response import FileResponse, Response

STATUSES = {"GET": 200, "HEAD": 200, "POST": 201, "DELETE": 204}


class Part:
    def __init__(self, request: Any) -> None:
        self.request = request

    def __call__(self) -> Response:
        return Response(self.request.matchdict["n"])


def item(request: Any) -> Response:
    return Response(status=STATUSES[request.method])


def cached(request: Any) -> Response:
    return Response(status=304)


def missing(request: Any) -> Response:
    raise HTTPNotFound


def boom(request: Any) -> Response:
    raise RuntimeError


def stream(request: Any) -> Response:
    return Response(app_iter=iter([b"a", b"b", b"c"]))


def file(request: Any) -> Response:
    return FileResponse(__file__)


def sub(config: Configurator) -> None:
    config.add_route("things", "/things/{n}")
    config.add_view(Part, route_name="things")


def create_app() -> Any:
    with Configurator() as config:
        config.add_route("items", "items/{n}")
        config.add_view(item, route_name="items", request_method=("GET", "POST", "DELETE"))
        for view in (cached, missing, boom, stream, file):
            config.add_route(view.__name__, f"/{view.__name__}/{{n}}")
            config.add_view(view, route_name=view.__name__)
        config.add_route("class", "/class/{n}")
        config.add_view(Part, route_name="class")
        config.include(sub, route_prefix="/sub")
        return config.make_wsgi_app()


app = create_app()
