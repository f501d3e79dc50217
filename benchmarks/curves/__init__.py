"""Tables of learning curves, and searches that are played over them on a made-up clock."""
