"""The side that all companions share: arguments, options, log, signs of life, reloads, the end.

A new companion needs a class of options (options.py), its work (child.py), a `main` that begins with a `Child`, a
kind of slot (hvd/core/layout.py), and its place among the master's programs (hvd/daemon/programs.py).
"""
