"""Weights of others in our nets, and back: a table of names per family.

Each family has `NAMINGS`, such as {"timm": rules}; `mapping` applies them.
"""
