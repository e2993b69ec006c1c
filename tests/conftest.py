"""Settings for all tests: hypothesis draws the same examples on every run and is never timed."""

import os

import pytest
from hypothesis import settings

settings.register_profile("same_every_run", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("same_every_run")


@pytest.fixture(scope="session", autouse=True)
def _machine_code_in_a_folder_of_its_own(tmp_path_factory):
    """Keep machine code that tests make out of the user's cache."""
    before = os.environ.get("AUTOGRAD_LITE_CACHE")
    os.environ["AUTOGRAD_LITE_CACHE"] = str(tmp_path_factory.mktemp("machine_code"))
    yield
    if before is None:
        del os.environ["AUTOGRAD_LITE_CACHE"]
    else:
        os.environ["AUTOGRAD_LITE_CACHE"] = before
