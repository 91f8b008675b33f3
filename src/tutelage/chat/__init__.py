"""A conversation with one model or two."""

from tutelage.chat.lines import Entry, piped, typed
from tutelage.chat.session import Conversation
from tutelage.chat.terminal import Terminal
from tutelage.chat.text import visible
from tutelage.chat.turns import Settings, Talk
from tutelage.chat.voices import ModelVoice, Voice, voices

__all__ = [
    "Conversation",
    "Entry",
    "ModelVoice",
    "Settings",
    "Talk",
    "Terminal",
    "Voice",
    "piped",
    "typed",
    "visible",
    "voices",
]
