"""Route templates of Bottle apps, mounted ones included: `/items/<id:int>`."""

from typing import Any

from hvd.instrument.reports import UNMATCHED, report_route, report_template


def listen(bottle: Any) -> None:
    """Have Bottle report what it matches; `bottle` is the module. `Router.match` was read in Bottle 0.13.4."""
    match = bottle.Router.match

    def match_and_report(self: Any, environ: Any) -> Any:
        try:
            route, arguments = match(self, environ)
        except bottle.HTTPError as error:
            allowed = error.get_header("Allow")  # of another method's route (405)
            if not allowed:
                report_route(environ, UNMATCHED)
            else:
                report_template(environ, match(self, {**environ, "REQUEST_METHOD": allowed.split(",")[0]})[0].rule)
            raise
        report_template(environ, route.rule)
        return route, arguments

    bottle.Router.match = match_and_report
