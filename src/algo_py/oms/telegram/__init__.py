"""Orders that a person carries out and answers for, in a Telegram chat."""

from algo_py.oms.telegram.adapter import TelegramOMS

__all__ = ["TelegramOMS"]
