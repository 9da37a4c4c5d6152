"""Adapter: `ModelGateway` on the real Azure ML, put together from its parts."""

from datetime import timedelta

from shared.adapters.azure_ml.clients import Clients
from shared.adapters.azure_ml.endpoints import Endpoints
from shared.adapters.azure_ml.jobs import Jobs
from shared.adapters.azure_ml.patience import PATIENCE
from shared.adapters.azure_ml.promotion import Promotion, TemporarySpace
from shared.adapters.azure_ml.workspaces import Workspaces
from shared.config import Settings


class AzureMlGateway(Promotion, Workspaces, Endpoints, Jobs):
    """Makes no request and does not load the SDK until the first method is called."""

    def __init__(
        self, settings: Settings, *, space: TemporarySpace | None = None, patience: timedelta = PATIENCE
    ) -> None:
        clients = Clients(settings)
        Promotion.__init__(self, clients, space or TemporarySpace(), patience)
        Workspaces.__init__(self, clients)
        Endpoints.__init__(self, clients)
        Jobs.__init__(self, clients)
