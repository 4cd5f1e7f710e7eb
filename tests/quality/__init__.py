"""How good reports are, in figures: corpora made from seeds with facts planted in them. `make quality`."""
