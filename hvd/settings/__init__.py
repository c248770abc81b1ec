"""Every setting: what it may be, where its value comes from, and the kinds of job that an operator declares."""
