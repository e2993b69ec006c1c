"""Settings for all tests: hypothesis draws the same examples on every run and is never timed."""

from hypothesis import settings

settings.register_profile("same_every_run", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("same_every_run")
