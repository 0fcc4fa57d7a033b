"""The manager: places tasks on nodes, and tells what became of them."""

from keelman.manager.limits import Limits
from keelman.manager.serve import ManagerOptions, NodeCredentials, serve

__all__ = ["Limits", "ManagerOptions", "NodeCredentials", "serve"]
