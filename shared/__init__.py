"""What the services have in common: contracts, messaging, runtime. Never imports `services`."""
