"""Models published under a name and a version, and found again."""
