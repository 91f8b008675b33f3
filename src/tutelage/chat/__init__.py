"""Chats with one model, or with two side by side, in the terminal or on a local page."""

from tutelage.chat.conversation import Conversation
from tutelage.chat.lines import ChatInput, piped_inputs, typed_inputs
from tutelage.chat.responders import ModelResponder, load_responders
from tutelage.chat.session import ChatSession, ChatSettings
from tutelage.chat.terminal import TerminalChat

__all__ = [
    "ChatInput",
    "ChatSession",
    "ChatSettings",
    "Conversation",
    "ModelResponder",
    "TerminalChat",
    "load_responders",
    "piped_inputs",
    "typed_inputs",
]
