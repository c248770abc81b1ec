"""The shop in Falcon, with prometheus_client and nothing else; /metrics as its documentation has it, and below /plain
as apps have it that were never meant for several processes.
"""

import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import falcon
from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector

from tests.support.shops import measures


class Orders:
    def on_get(self, req: falcon.Request, resp: falcon.Response, item: str, pieces: int) -> None:
        status, resp.text = measures.answer(item, pieces)
        resp.status = status


class Metrics:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        resp.data = generate_latest(registry)


shop = falcon.App()
shop.add_route("/orders/{item}/{pieces:int}", Orders())
if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
    shop.add_route("/metrics", Metrics())
plain = make_wsgi_app()


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return (plain if environ["PATH_INFO"] == "/plain" else shop)(environ, start_response)
