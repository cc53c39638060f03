"""Refuses a wrong argument in one line that says what would be right."""

import numbers


def check_choice(owner: str, name: str, value, choices) -> None:
    """Raises a ValueError that lists the choices where the value is none of them."""
    if value not in choices:
        *others, last = map(repr, choices)
        listed = f'{", ".join(others)} or {last}'
        raise ValueError(f'{owner} has no {name} {value!r}; choose {listed}.')


def check_at_least_one(owner: str, **values: int) -> None:
    """Raises a ValueError for the first value that is no whole number from 1 on."""
    for name, value in values.items():
        if isinstance(value, tuple):
            raise ValueError(
                f'{owner} needs {name} to be one number; got {value}: what asks for '
                f'several needs a head that takes them, such as KeypointRCNN.'
            )
        if not isinstance(value, numbers.Integral):
            raise ValueError(f'{owner} needs {name} to be whole; got {value}.')
        if value < 1:
            raise ValueError(f'{owner} needs {name} of at least 1; got {value}.')


def check_rate(owner: str, **values: float) -> None:
    """Raises a ValueError for the first value that is no share in [0, 1)."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f'{owner} needs {name} in [0, 1); got {value}.')
