"""The services of the mesh: one folder, one process, one container. They share contracts, never code."""
