"""The server's side of the keepers: where they run, how it talks to them, what is removed after them."""

from sandbox.host.keepers import Keepers, SandboxSpec
from sandbox.host.link import Hello, KeeperLink

__all__ = ["Hello", "KeeperLink", "Keepers", "SandboxSpec"]
