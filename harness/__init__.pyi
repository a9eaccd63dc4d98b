from .base.constants import G as G
from .base.errors import EquilibriumError as EquilibriumError
from .base.errors import EstimationError as EstimationError
from .base.errors import HaloassayError as HaloassayError
from .base.errors import HaloassayWarning as HaloassayWarning
from .base.errors import InputError as InputError
from .contracts.catalogue import Catalogue as Catalogue
from .contracts.estimate import Estimate as Estimate
from .contracts.estimate import Estimates as Estimates
from .contracts.estimate import Estimator as Estimator
from .contracts.frames import Sun as Sun
from .contracts.quantities import Place as Place
from .contracts.quantities import Quantity as Quantity
from .face.api import MockCatalogue as MockCatalogue
from .face.api import describe as describe
from .face.api import failures as failures
from .face.api import list as list
from .face.api import measure as measure
from .face.api import mock as mock
from .face.api import report as report
from .face.api import run as run
from .face.api import table as table
from .face.matches import match as match
from .io.tables import read_catalogue as read_catalogue
from .io.tables import write_catalogue as write_catalogue
from .results.results import Results as Results

__version__: str
