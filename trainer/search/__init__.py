"""Search: many short runs of one config, which learn from each other what is best."""
