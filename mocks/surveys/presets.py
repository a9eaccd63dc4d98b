"""Presets: the settings of known surveys, and where each number comes from.

Marks: S stated in a paper, F read in a public source, M from memory, "choice" where no number is
stated. ``benchmarks/surveys.py`` compares the catalogues of each with what its paper says of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any, Final

from haloassay.base import kinds
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.frames import SUNS

#: Stars on the giant branch, r band: M.
_K_GIANTS: Final = {"kind": "power-law", "slope": 0.32, "m_min": -3.0, "m_max": 2.0}

#: G - r of a metal-poor giant of g - r = 0.6: choice.
_GIANT_COLOUR: Final = -0.15

#: Scatter of the correlation of Gaia's proper-motion errors among 2830 SEGUE K giants (EDR3): F.
_PM_CORRELATION: Final = 0.26

#: Errors of SEGUE's line-of-sight velocities [km/s], g band: F.
_SEGUE_VLOS: Final = {"magnitudes": [18.0, 20.0], "errors": [4.0, 15.0]}

#: Settings that a preset puts in place of those of a perfect survey.
Settings = Mapping[str, Any]

#: Settings that are tables.
_TABLES: Final = ("sun", "footprint", "completeness", "luminosity", "template")
#: What a completeness says of its pixels where no map does.
_MADE_UP: Final = ("minimum", "maximum")


#: Every star, exactly.
PERFECT: Final[Settings] = {}

#: K giants of LAMOST DR5 as Zhai et al. (2018) select them.
LAMOST_KGIANTS: Final[Settings] = {
    "n_stars": 9627,  # S
    "sun": "zhai2018",  # S
    "footprint": {"dec_min": -10.0, "dec_max": 60.0},  # M
    "luminosity": _K_GIANTS,
    # M, choice: with the paper's density of r^-4, 5 per cent are beyond 40 kpc, as stated
    "magnitude_limits": [11.0, 18.6],
    "g_offset": _GIANT_COLOUR,
    "z_min": 5.0,  # S
    "feh_max": -1.0,  # S
    "r_min": 5.0,  # S, the innermost bin
    "r_max": 120.0,  # S
    "distance_error": 0.13,  # S
    "pm_error": "gaia-dr2",  # choice: the paper uses no proper motions
    "pm_correlation": _PM_CORRELATION,
    "vlos_error": 7.0,  # M; the paper does not correct LAMOST's known offset of -8 km/s
    "feh_error": 0.16,  # S
}

#: K giants of LAMOST DR5 and SDSS/SEGUE as Bird et al. (2022) combine them.
LAMOST_SEGUE_KGIANTS: Final[Settings] = {
    "n_stars": 10762,  # S
    "sun": "bird2022",  # S
    "footprint": {"dec_min": -10.0, "dec_max": 60.0},  # M
    "luminosity": _K_GIANTS,
    # M, S: with the paper's density, over 60 per cent of the stars lie within 20 kpc, over
    # half within the break at 17 kpc, and over 50 beyond 65 kpc, up to 105: all as stated
    "magnitude_limits": [11.0, 19.0],
    "g_offset": _GIANT_COLOUR,
    # S, Bird et al. (2020): every [Fe/H] beyond 5 kpc from the plane; with z_min = 5 no star
    # could be at the stated 3 kpc
    "z_min": 2.0,
    "z_any_feh": 5.0,
    "feh_max": -1.0,
    "r_min": 3.0,  # S
    "r_max": 105.0,  # S
    "distance_error": 0.16,  # S
    "pm_error": "gaia-dr2",  # S
    "pm_correlation": _PM_CORRELATION,
    "vlos_error": 7.0,  # S; the known offset of LAMOST, -8 km/s, is corrected in the paper
}

#: Blue horizontal branch stars of SDSS as Bird et al. (2022) use them.
SDSS_BHB: Final[Settings] = {
    "n_stars": 2526,  # S
    "sun": "bird2022",  # S
    "footprint": {
        "dec_min": -5.0,
        "dec_max": 65.0,
        "b_min": 30.0,
    },  # choice: caps of the SDSS imaging
    "luminosity": {"kind": "horizontal-branch"},  # F, g band
    "magnitude_limits": [14.0, 19.5],  # choice: 4.8 to 60 kpc at M_g = 0.6
    "g_offset": 0.0,  # choice: G is within 0.1 mag of g for stars of g - r = -0.15
    "r_min": 4.0,  # S
    "r_max": 60.0,  # S
    "distance_error": 0.10,  # S
    "pm_error": "gaia-dr2",  # S
    "pm_correlation": _PM_CORRELATION,
    "vlos_error": _SEGUE_VLOS,  # choice: that of SEGUE's K giants, by the same spectrograph
}

#: Giants of the H3 survey as Han et al. (2024) select them.
H3_GIANTS: Final[Settings] = {
    "n_stars": 10469,  # S: 9353 accreted and 1116 in-situ stars
    "sun": "li2026",  # choice: the paper does not say
    "footprint": {"dec_min": -20.0, "b_min": 20.0},  # S
    # M and choice: fields of one degree that cover a fraction of the sky, unevenly
    "completeness": {"minimum": 0.0, "maximum": 0.6, "nside": 32},
    "luminosity": _K_GIANTS,
    "magnitude_limits": [15.0, 18.0],  # M, S
    "g_offset": _GIANT_COLOUR,
    "z_min": 5.0,  # S
    "r_min": 10.0,  # S
    # choice: the errors of v_r are then near the paper's 2 km/s, and the tangential ones grow
    # with radius beyond 30 kpc, as it shows
    "distance_error": 0.06,
    "pm_error": "gaia-dr3",  # S: near 0.1 mas/yr at the faint end, as the paper shows
    "pm_correlation": _PM_CORRELATION,
    "vlos_error": 0.2,  # M
    "feh_error": 0.05,  # M
    "alpha_fe_error": 0.05,  # M
}

#: K giants of DESI as Li et al. (2026) select them; their mask of the Sagittarius stream is a
#: cleaning step.
DESI_KGIANTS: Final[Settings] = {
    "n_stars": 64573,  # S
    "sun": "li2026",  # S
    "footprint": {"dec_min": -20.0, "dec_max": 85.0, "b_min": 20.0},  # M, M, S
    # S: completeness varies with the position on the sky only; its range: choice
    "completeness": {"minimum": 0.2, "maximum": 1.0, "nside": 16},
    "luminosity": _K_GIANTS,  # -3 < M_r < 2: S
    "magnitude_limits": [11.2, 19.0],  # S, G of the backup programme, r of the main survey
    "g_offset": _GIANT_COLOUR,
    "z_min": 2.0,  # S
    "feh_max": -0.85,  # S
    "r_min": 3.0,  # S
    "r_max": 160.0,  # S
    # choice: what the cut on errors below leaves has a median of 17 per cent and the paper's
    # errors of v_phi; the paper's 12 per cent, S, of all its giants, would make them too small
    # by a fifth, and the cut would leave out 1 per cent of the stars, not the stated third
    "distance_error": 0.22,
    "distance_error_spread": 0.8,
    "pm_error": "gaia-dr3",  # S
    "pm_correlation": _PM_CORRELATION,
    "vlos_error": 1.0,  # F
    "feh_error": 0.05,  # S
    "alpha_fe_error": 0.05,  # choice
    "error_max": [100.0, 100.0, 100.0],  # S
}

#: RR Lyrae stars of Gaia DR3: standard candles over the whole sky, without spectra.
GAIA_RRLYRAE: Final[Settings] = {
    "n_stars": 50000,  # choice
    "footprint": {"b_min": 10.0},  # choice: away from crowding and dust
    "completeness": {"b_scale": 5.0, "per_magnitude": 0.3, "full_to": 19.0},  # choice
    "luminosity": {"kind": "gaussian", "mean": 0.64, "sigma": 0.15},  # M, G band
    "magnitude_limits": [10.0, 20.5],  # choice: to 95 kpc
    "z_min": 2.0,  # choice: away from the disc
    "r_min": 3.0,  # choice: away from the bulge
    "distance_error": 0.15,  # M: the scatter of the luminosities [mag]
    "distance_error_kind": "modulus",
    "pm_error": "gaia-dr3",
    "pm_correlation": _PM_CORRELATION,
    "vlos_known": False,
    "feh_error": 0.3,  # M: from the light curves
}

#: Bright giants over the whole sky with the errors of today: what a survey could be, where
#: nothing is lost.
ALL_SKY: Final[Settings] = {
    "n_stars": 50000,  # choice
    # choice: the bright end of the giant branch, brighter than r = 19 out to 100 kpc
    "luminosity": {"kind": "power-law", "slope": 0.32, "m_min": -3.0, "m_max": -1.0},
    "g_offset": _GIANT_COLOUR,
    "distance_error": 0.10,  # choice
    "pm_error": "gaia-dr3",
    "pm_correlation": _PM_CORRELATION,
    "vlos_error": 2.0,  # choice
    "feh_error": 0.1,  # choice
    "alpha_fe_error": 0.05,  # choice
}

#: Giants of the halo as 4MOST will see them with its low resolution (Helmi et al. 2019, Messenger 175, 23): a plan.
FOURMOST_HALO: Final[Settings] = {
    "n_stars": 50000,  # choice; M: more than a million are planned
    # M; 10000 square degrees at high latitude are stated (F, abstract), and these limits hold 18500
    "footprint": {"dec_min": -80.0, "dec_max": 20.0, "b_min": 20.0},
    "luminosity": _K_GIANTS,
    "magnitude_limits": [15.0, 20.0],  # M
    "g_offset": _GIANT_COLOUR,
    "z_min": 2.0,  # choice
    "r_min": 3.0,  # choice
    "distance_error": 0.2,  # choice: photometric and spectroscopic distances of giants
    "pm_error": "gaia-dr4",  # choice
    "pm_correlation": _PM_CORRELATION,
    "vlos_error": 2.0,  # F, abstract: 1 to 2 km/s
    "feh_error": 0.2,  # F, abstract
    "alpha_fe_error": 0.1,  # choice
}

#: Giants of the halo as WEAVE will see them with its low resolution at high latitudes (Jin et al. 2024,
#: MNRAS 530, 2688; of that paper only the abstract was read: no number below is stated in it).
WEAVE_HALO: Final[Settings] = {
    "n_stars": 50000,  # choice
    "footprint": {"dec_min": -10.0, "b_min": 20.0},  # M: from La Palma, high latitudes
    "completeness": {
        "minimum": 0.0,
        "maximum": 0.6,
        "nside": 32,
    },  # choice: fields of 2 deg, unevenly
    "luminosity": _K_GIANTS,
    "magnitude_limits": [15.0, 20.0],  # M: to the limit of Gaia, about
    "g_offset": _GIANT_COLOUR,
    "z_min": 2.0,  # choice
    "r_min": 3.0,  # choice
    "distance_error": 0.2,  # choice
    "pm_error": "gaia-dr4",  # choice
    "pm_correlation": _PM_CORRELATION,
    "vlos_error": {"magnitudes": [16.0, 20.0], "errors": [1.0, 5.0]},  # M
    "feh_error": 0.2,  # M
    "alpha_fe_error": 0.1,  # choice
}

#: Giants of all of H3 (Conroy et al. 2019, ApJ 883, 107), without the cuts of Han et al. (2024): any height and radius.
H3_DR: Final[Settings] = {
    "n_stars": 15000,  # choice; F, abstract: spectra of 200000 stars, of which few are giants of the halo
    "footprint": {"dec_min": -20.0, "b_min": 20.0},  # M; S of the sample of Han et al.
    "completeness": {"minimum": 0.0, "maximum": 0.6, "nside": 32},  # M and choice, as h3-giants
    "luminosity": _K_GIANTS,
    "magnitude_limits": [
        15.0,
        18.0,
    ],  # M; the selection is by magnitude and parallax only: F, abstract
    "g_offset": _GIANT_COLOUR,
    "r_min": 3.0,  # choice
    "distance_error": 0.1,  # M: about a tenth, from isochrones
    "pm_error": "gaia-dr3",
    "pm_correlation": _PM_CORRELATION,
    "vlos_error": 0.2,  # M
    "feh_error": 0.05,  # M
    "alpha_fe_error": 0.05,  # M
}

#: Bright giants of Gaia DR4 with its own spectra: proper motions as pygaia predicts them for DR4, the rest a guess.
GAIA_DR4: Final[Settings] = {
    "n_stars": 50000,  # choice
    "footprint": {"b_min": 10.0},  # choice: away from crowding and dust
    "luminosity": {"kind": "power-law", "slope": 0.32, "m_min": -3.0, "m_max": 2.0},  # M, here in G
    "magnitude_limits": [6.0, 16.0],  # M: about where the spectra of single stars end
    "z_min": 2.0,  # choice
    "r_min": 3.0,  # choice
    "distance_error": 0.15,  # choice: parallaxes say little beyond 5 kpc
    "pm_error": "gaia-dr4",  # F: pygaia
    "pm_correlation": _PM_CORRELATION,
    "vlos_error": {"magnitudes": [12.0, 14.0, 16.0], "errors": [0.5, 2.0, 8.0]},  # M, G band
    "feh_error": 0.15,  # M
    "alpha_fe_error": 0.1,  # choice
}


def resolve(
    spec: Mapping[str, Any], known: Collection[str], where: str = "survey"
) -> dict[str, Any]:
    """All settings that ``spec`` stands for: those of its preset, overridden by its own, which are ``known``.

    Within a table (footprint, completeness, luminosity, sun) single settings are overridden too, unless the
    ``kind`` differs, or a map stands in their place. A Sun is returned as a table.

    Raises
    ------
    InputError
        If a preset, a setting or a Sun is unknown, or a table is none; ``where`` names the place.
    """
    preset = spec.get("preset", "perfect")
    allowed = {"preset", *known}
    settings = _with_sun(kinds.find("surveys", preset, where), where)
    for name, value in _with_sun(spec, where).items():
        if name not in allowed:
            raise unknown("setting", name, allowed, where)
        settings[name] = _override(settings.get(name), value)
        if name in _TABLES and not isinstance(value, Mapping):
            raise InputError(f"{where}.{name}: expected a table (got {value!r})")
    settings.pop("preset", None)
    return settings


def _with_sun(spec: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``spec`` with a named Sun written out, so that single settings of it can be overridden."""
    settings = dict(spec)
    name = settings.get("sun")
    if isinstance(name, str):
        if name not in SUNS:
            raise unknown("sun", name, SUNS, f"{where}.sun")
        settings["sun"] = asdict(SUNS[name])
    if isinstance(settings.get("template"), str):
        settings["template"] = {"file": settings["template"]}
    return settings


def _override(base: Any, value: Any) -> Any:
    """``value``, with the settings of the table ``base`` that it leaves as they are."""
    if not (isinstance(base, Mapping) and isinstance(value, Mapping)):
        return value
    if value.get("kind", base.get("kind")) != base.get("kind"):
        return value
    if value.get("map"):  # it stands in place of the pixels that a preset makes up
        base = {name: kept for name, kept in base.items() if name not in _MADE_UP}
    return {**base, **value}
