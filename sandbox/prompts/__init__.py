"""What a page asks outside its own pixels: dialogs, file choosers, basic and digest authentication."""

from sandbox.prompts.asks import DIALOGS
from sandbox.prompts.prompts import Prompts
from sandbox.prompts.uploads import MOST_BYTES

__all__ = ["DIALOGS", "MOST_BYTES", "Prompts"]
