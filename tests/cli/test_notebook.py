"""A notebook whose kernel has no ipywidgets: everything runs, every object shows itself, no control code is printed."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.long

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

#: What a user may type; the first cell takes ipywidgets away, where it is installed.
CELLS = (
    "import sys\nsys.modules['ipywidgets'] = None\nimport haloassay",
    "scenario = dict(name='small', title='<script>alert(1)</script>', realizations=4, seed=3,\n"
    "    mock=dict(kind='local-jeans-gaussian', potential=dict(kind='nfw', m200=1e12, c=12.0),\n"
    "        density=dict(kind='power-law', slope=-3.5), beta=dict(kind='constant', beta=0.3)),\n"
    "    survey=dict(preset='perfect', n_stars=150),\n"
    "    estimators=[dict(kind='tracer-mass', alpha=-3.5, bins=[5.0, 100.0], n_bootstrap=20)])\n"
    "results = haloassay.run(scenario, 'out', workers=0)\nresults",
    "haloassay.table('out')",
    "results.table()",
    "results.reasons(), results.counts()",
    "haloassay.report('out')",
    "made = haloassay.mock(scenario)\nmade",
    "made.catalogue",
    "made.truth",
    "made.stars",
    "haloassay.measure(made.catalogue, 'tracer-mass', alpha=-3.5)",
    "haloassay.list('scenarios')",
    "print(haloassay.describe('jeans-3d'))",
    # a class of a cell, with a function and a number of other cells, in processes that have none of them
    "import dataclasses, os\nUNIT = 2.0\ndef spread(values):\n    return UNIT * float(values.std())",
    "@dataclasses.dataclass(frozen=True)\nclass Mine(haloassay.Estimator):\n"
    "    name = 'mine'\n    reference = ''\n    yields = ('sigma_r', 'r200')\n    scale: float = 1.0\n"
    "    def estimate(self, catalogue, rng):\n"
    "        print('a word of its own')\n"
    "        value = self.scale * spread(catalogue.spherical_velocity[:, 0])\n"
    "        return haloassay.Estimates([haloassay.Estimate('sigma_r', value, r=20.0),\n"
    "            haloassay.Estimate('r200', float(os.getpid()))])",
    "both = ['velocity-ellipsoid', Mine, {'kind': Mine, 'scale': 3.0, 'label': 'three'}]\n"
    "mine = haloassay.run(scenario, 'mine', workers=1, estimators=both)\nmine",
    "again = haloassay.run(scenario, 'again', workers=0, estimators=both)",
    "rows = [each.frame('estimates').query(\"quantity == 'sigma_r'\") for each in (mine, again)]\n"
    "assert rows[0].value.tolist() == rows[1].value.tolist() and len(rows[0]) == 12\n"
    "value = rows[0].set_index(['estimator', 'realization']).value\n"
    "assert (value['three'] == 3.0 * value['mine']).all()\n"
    "pids = mine.frame('estimates').query(\"quantity == 'r200'\").value\n"
    "assert os.getpid() not in set(pids)",
    "assert haloassay.run(scenario, 'mine', workers=1, estimators=both).counts() == {'ok': 12}",
    "UNIT = 5.0\ntry:\n    haloassay.run(scenario, 'mine', workers=1, estimators=both)\n"
    "except haloassay.InputError as error:\n    refused = str(error)\nrefused",
)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    client = nbclient.NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    return folder, {cell.source.splitlines()[-1]: cell.outputs for cell in notebook.cells}


def test_nothing_raises_in_a_notebook_without_widgets(executed):
    folder, outputs = executed
    raised = {
        source: f"{out.ename}: {out.evalue}"
        for source, shown in outputs.items()
        for out in shown
        if out.output_type == "error"
    }
    assert not raised
    assert (folder / "out" / "report" / "index.html").exists()


def test_a_class_of_a_cell_is_an_estimator_in_worker_processes(executed):
    """The cells assert; here is what they show."""
    folder, outputs = executed
    (shown,) = (out for out in outputs["mine"] if out.output_type == "execute_result")
    assert "12 ok" in shown.data["text/plain"]
    assert "a word of its own" in (folder / "mine" / "log.txt").read_text()
    (refused,) = outputs["refused"]
    assert "holds results of another scenario" in refused.data["text/plain"]


def test_objects_show_themselves_in_html(executed):
    for name in ("results", "made", "made.catalogue", "made.truth"):
        (page,) = (out.data["text/html"] for out in executed[1][name] if "data" in out)
        assert page.startswith("<div><strong>")
        assert "<script" not in page
    assert "&lt;script&gt;" in executed[1]["results"][-1].data["text/html"]
    assert "4 ok" in executed[1]["results"][-1].data["text/plain"]


def test_progress_in_a_notebook_is_plain_lines(executed):
    streams = [out for shown in executed[1].values() for out in shown if "text" in out]
    said = "".join(out.text for out in streams)
    assert "4/4 tasks" in said
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", said)
