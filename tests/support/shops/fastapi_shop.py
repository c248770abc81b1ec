"""The shop in FastAPI, with prometheus-fastapi-instrumentator and starlette_exporter."""

from fastapi import FastAPI, Response
from prometheus_fastapi_instrumentator import Instrumentator
from starlette_exporter import PrometheusMiddleware, handle_metrics

from tests.support.shops import measures

app = FastAPI()
app.add_middleware(PrometheusMiddleware, skip_paths=["/metrics", "/starlette"])
Instrumentator(
    should_instrument_requests_inprogress=True, inprogress_labels=True, excluded_handlers=["/metrics", "/starlette"]
).instrument(app).expose(app)
app.add_route("/starlette", handle_metrics)


@app.get("/orders/{item}/{pieces}")
def order(item: str, pieces: int) -> Response:
    status, text = measures.answer(item, pieces)
    return Response(text, status)
