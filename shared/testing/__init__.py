"""Shipped doubles and faults, so that users test the way we do. Never imported by a service."""
