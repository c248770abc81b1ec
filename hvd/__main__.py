"""The command `hvd`, and `python -m hvd`."""

import signal


def main() -> int:
    """Run the command. Ctrl-C while that is imported ends it without a traceback, as it ends any program."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # it is ignored under nohup
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from hvd.cli.main import main as run

    signal.signal(signal.SIGINT, before)
    return run()


if __name__ == "__main__":
    raise SystemExit(main())
