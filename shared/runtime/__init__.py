"""What every process does: settings, logging, heartbeat, drain and exit."""
