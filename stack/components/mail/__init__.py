"""A mail catcher."""

from stack.components.mail.declaration import Mail

__all__ = ["Mail"]
