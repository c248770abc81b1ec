"""Route templates of Falcon apps."""

import falcon

from hvd.instrument.wsgi import EXCHANGE


class RouteName:
    """Middleware: the route under which a request counts is the template that matched, as `/items/{id}`."""

    def process_resource(self, req: falcon.Request, resp: falcon.Response, resource: object, params: object) -> None:
        """Called by Falcon where a template matches."""
        try:
            req.env[EXCHANGE].route = req.uri_template
        except KeyError:  # the app is not counted
            return
