from .check import Finding as Finding
from .checking import Report as Report
from .checking import check_estimator as check_estimator
