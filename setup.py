"""What the build makes beside the modules: the library that draws the charts of a page, as one script."""

import gzip
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithLibrary(build_py):
    """Bundle Vega, Vega-Lite and vega-embed, so that no user needs the 80 MB that can do it."""

    def run(self) -> None:
        """Build, and write the script beside the page's own; an editable install makes its own when it needs it."""
        super().run()
        if self.editable_mode:
            return
        import vl_convert

        script = vl_convert.javascript_bundle().encode()
        page = Path(self.build_lib, "haloassay", "reports", "page")
        (page / "vega.js.gz").write_bytes(gzip.compress(script, mtime=0))


setup(cmdclass={"build_py": BuildWithLibrary})
