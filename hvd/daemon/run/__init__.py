"""`hvd run`: gunicorn with hvd under it, for an app that is named on the command line."""
