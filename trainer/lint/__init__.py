"""Everything that can be wrong with a config, found before any compute."""
