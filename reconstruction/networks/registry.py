"""The restoring networks by their names."""

from collections.abc import Callable, Mapping
from typing import Any

from reconstruction.errors import InputError
from reconstruction.networks.config import Config, read
from reconstruction.networks.nafnet import Nafnet, Nafnet16Config, NafnetConfig
from reconstruction.networks.network import Network
from reconstruction.networks.preview import Preview, PreviewConfig
from reconstruction.networks.rrdb import Rrdb, RrdbConfig, RrdbU2, RrdbU4

NETWORKS: dict[str, tuple[Callable[[Any], Network], type[Config]]] = {
    "rrdb_full": (Rrdb, RrdbConfig),
    "rrdb_u2": (RrdbU2, RrdbConfig),
    "rrdb_u4": (RrdbU4, RrdbConfig),
    "nafnet_16": (Nafnet, Nafnet16Config),
    "nafnet_32": (Nafnet, NafnetConfig),
    "preview": (Preview, PreviewConfig),
}


def build(name: str, config: Mapping[str, Any]) -> Network:
    """Make an untrained network; sizes that `config` does not name are its usual ones.

    Raises:
        InputError: no such network, or a config that it cannot have.
    """
    if name not in NETWORKS:
        raise InputError(f"network: {name!r} is not one of {', '.join(sorted(NETWORKS))}")
    make, kind = NETWORKS[name]
    module = make(read(kind, name, config))
    module.network = name
    return module
