from .api import MockCatalogue as MockCatalogue
from .api import describe as describe
from .api import list as list
from .api import measure as measure
from .api import mock as mock
from .api import report as report
from .api import run as run
from .api import table as table
from .catalogue import Catalogue as Catalogue
from .constants import G as G
from .errors import EquilibriumError as EquilibriumError
from .errors import EstimationError as EstimationError
from .errors import HaloassayError as HaloassayError
from .errors import HaloassayWarning as HaloassayWarning
from .errors import InputError as InputError
from .estimate import Estimate as Estimate
from .estimate import Estimates as Estimates
from .estimate import Estimator as Estimator
from .frames import Sun as Sun
from .quantities import Place as Place
from .quantities import Quantity as Quantity
from .store import Results as Results
from .tables import read_catalogue as read_catalogue
from .tables import write_catalogue as write_catalogue

__version__: str
