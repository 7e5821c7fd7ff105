"""train.py and evaluate.py as modules of partae: a wheel has them beside this file, a clone at its top."""

from pathlib import Path

HERE = Path(__file__)
__path__ = [str(HERE.parents[1] if (HERE.parents[1] / "conf" / "train.yaml").exists() else HERE.with_suffix(""))]
