"""The services of the mesh: one folder, one process, one container. They share contracts, never code."""

import gc

# What is imported stays: looking through it for garbage again and again would be a tenth of a service's start. The
# imports of a service make 110,000 to 120,000 objects (tests/unit/runtime/test_start.py: not one look at them).
# `shared.runtime.run` sets a lower value for the service's life.
gc.set_threshold(200_000)

import shared  # noqa: E402, F401 - before anything that loads structlog: see there
