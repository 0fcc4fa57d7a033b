"""The node agent: worker, handlers, and the loops between them."""

from keelman.door import Credentials
from keelman.worker.limits import Limits
from keelman.worker.serve import WorkerOptions, serve

__all__ = ["Credentials", "Limits", "WorkerOptions", "serve"]
