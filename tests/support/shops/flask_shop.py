"""The shop in Flask, with prometheus_flask_exporter."""

from flask import Flask
from prometheus_flask_exporter import PrometheusMetrics

from tests.support.shops import measures

app = Flask("shop")
metrics = PrometheusMetrics(app)


@app.route("/orders/<item>/<int:pieces>")
def order(item: str, pieces: int) -> tuple[str, int]:
    status, text = measures.answer(item, pieces)
    return text, status
