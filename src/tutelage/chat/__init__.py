"""A conversation with one model or two."""

from tutelage.chat.session import Conversation
from tutelage.chat.terminal import Settings, Terminal, piped, typed, visible
from tutelage.chat.voices import ModelVoice, Voice, voices

__all__ = [
    "Conversation",
    "ModelVoice",
    "Settings",
    "Terminal",
    "Voice",
    "piped",
    "typed",
    "visible",
    "voices",
]
