"""Pages that people read: one self-contained file each, drawn from what is on disk."""
