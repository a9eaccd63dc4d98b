import sys
from pathlib import Path

# the synthetic result tables are shared with the tests of the scores
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scores"))
