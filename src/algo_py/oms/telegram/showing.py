"""Showing in the chat what became of an order: its message says so, and its buttons go."""

from __future__ import annotations

from typing import Final

from algo_py.clock import monotonic_s
from algo_py.errors import Rejected, VenueError
from algo_py.oms.telegram import texts
from algo_py.oms.telegram.books import Books, Entry, Place
from algo_py.oms.telegram.chat import Chat, ChatMoved

_AGAIN_S: Final = 30.0
_AT_ONCE: Final = 5


class Showing:
    """Edits messages. An outcome stands whether or not the chat shows it; what could not be shown is tried again later."""

    def __init__(self, books: Books, chat: Chat) -> None:
        self._books = books
        self._chat = chat
        self._next_s = 0.0

    def show(self, entry: Entry | None) -> None:
        """Show the outcome of an order, if it has one and its message is known."""
        if entry is None or not entry.outcome or entry.message_id is None:
            return
        place = Place(chat_id=entry.chat_id or self._chat.ids[-1], message_id=entry.message_id)
        text = texts.settled_text(entry.text, entry.told)
        try:
            self._chat.edit(place, text)
        except ChatMoved as moved:
            self._chat.has_moved(place.chat_id, moved.moved_to)
            self._tell_anew(text)
        except Rejected:
            pass  # the message was deleted, or nobody may change it: that does not pass
        except VenueError:
            self._next_s = monotonic_s() + _AGAIN_S
            return
        self._books.shown(entry.client_order_id)

    def show_what_is_left(self) -> None:
        """Try again what could not be shown, by whichever process; some at once, and not again for a while when that fails."""
        if monotonic_s() < self._next_s:
            return
        for entry in self._books.to_show(most=_AT_ONCE):
            self.show(entry)
            if monotonic_s() < self._next_s:
                return

    def _tell_anew(self, text: str) -> None:
        """Say the outcome in the new chat: what stands in the old one keeps its buttons."""
        try:
            self._chat.send(text)
        except VenueError:
            return  # a press on the old buttons is told how it ended
