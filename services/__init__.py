"""The services of the mesh: one folder, one process, one container. They share contracts, never code."""

import gc

import shared  # noqa: F401 - before anything that loads structlog: see there

# What is imported stays: looking through it for garbage again and again would be a tenth of a service's start.
# `shared.runtime.run` sets a lower value for the work itself.
gc.set_threshold(50_000)
