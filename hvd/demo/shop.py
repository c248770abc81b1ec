"""The shop: a Falcon app that knows nothing of hvd, whose routes take their time and fail now and then."""

import random
import time

import falcon


def work(mean: float, most: float = 5.0) -> None:
    """Take about `mean` s, at most `most`."""
    time.sleep(min(most, random.expovariate(1 / mean)))


class Front:
    """Quick."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work(0.003)
        resp.text = "A small shop"


class Item:
    """Quick; a few are sold out."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, item: int) -> None:
        work(0.01)
        if item % 40 == 0:
            raise falcon.HTTPNotFound
        resp.media = {"item": item, "price": item * 3 % 100}


class Search:
    """Sometimes slow."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        work(random.choice((0.02, 0.02, 0.02, 0.3)))
        resp.media = {"items": random.sample(range(1000), 20)}


class Orders:
    """Depends on a service that fails now and then."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        work(0.04)
        if random.random() < 0.05:
            raise falcon.HTTPServiceUnavailable(description="The bank does not answer.")
        resp.status = falcon.HTTP_201


class Report:
    """Slow, so that it is seen while it is in progress."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, year: int) -> None:
        work(1.5)
        resp.text = "month,sum\n" * 12


app = falcon.App()
app.add_route("/", Front())
app.add_route("/items/{item:int}", Item())
app.add_route("/search", Search())
app.add_route("/orders", Orders())
app.add_route("/reports/{year:int}", Report())
