"""What several implementations of one thing must all do: each suite is written once and run on every one of them."""
