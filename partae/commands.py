"""train.py and evaluate.py as modules of partae: a wheel has them beside this file, a clone at its top."""

from pathlib import Path

__path__ = [str(Path(__file__).with_suffix("")), str(Path(__file__).parents[1])]
