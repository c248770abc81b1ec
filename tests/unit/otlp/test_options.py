"""What the master tells the exporter."""

from hvd.otlp.options import ExporterOptions
from hvd.settings.loader import load


def test_options_come_back_from_their_json() -> None:
    """Equal, or each reload would begin anew."""
    environ = {"HVD_OTLP_ENDPOINT": "http://h:1", "HVD_OTLP_HEADERS": "a=b,c=d", "HVD_INSTANCE": "shop"}
    options = ExporterOptions.of(load(environ).settings, "info", "27.0")
    assert ExporterOptions.from_json(options.to_json()) == options
    assert (options.endpoint, options.headers, options.instance) == ("http://h:1", ("a=b", "c=d"), "shop")
