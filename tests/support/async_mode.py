"""Pytest plugin (``-p tests.support.async_mode``): makes the standard library cooperative before any other import."""

from common.web.concurrency import async_mode_of_environment, patch_standard_library

patch_standard_library(async_mode_of_environment())
