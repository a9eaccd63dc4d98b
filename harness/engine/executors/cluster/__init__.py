"""The workers of a Dask cluster, and how a user says where they are."""

from __future__ import annotations

from haloassay.engine.executors.cluster.crew import ClusterCrew
from haloassay.engine.executors.cluster.places import Place, connected, place_of

__all__ = ["ClusterCrew", "Place", "connected", "place_of"]
