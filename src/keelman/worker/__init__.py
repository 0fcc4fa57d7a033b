"""The node agent: worker, handlers, and the loops between them."""

from keelman.worker.door import Credentials
from keelman.worker.serve import WorkerOptions, serve
from keelman.worker.worker import Limits

__all__ = ["Credentials", "Limits", "WorkerOptions", "serve"]
