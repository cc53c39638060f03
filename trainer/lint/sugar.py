"""Bindings as people type them in a shell; knows only what a gin value looks like."""

from trainer.lint.statements import parse_value


def sugar_binding(key: str, text: str) -> str:
    """('ResNet.depth', '50') -> 'ResNet.depth = 50'; what is no gin value is a string.

    Args:
      key: 'ResNet.depth', 'train/Images.split' or a macro's name.
      text: a gin literal, '@reference' or '%MACRO'; any other text is put in quotes.
    """
    try:
        parse_value(text)
    except ValueError:
        text = repr(text)
    return f'{key} = {text.strip()}'
