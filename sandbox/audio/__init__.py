"""The sound of one sandbox's pages: a private sound server, and what it plays."""

from sandbox.audio.server import BLOCK, CHANNELS, RATE, PageSound

__all__ = ["BLOCK", "CHANNELS", "RATE", "PageSound"]
