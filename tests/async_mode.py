"""Pytest plugin (``-p tests.async_mode``): makes the standard library cooperative before anything else is imported."""

from config.web.concurrency import async_mode_of_environment, patch_standard_library

patch_standard_library(async_mode_of_environment())
