"""What quantities are, in words, for those who have never seen the package: one text for questions and documentation.

Where a quantity is a field of the halo's stars the text does not say of which of them, and where: what is asked of them
does (:mod:`haloassay.contracts.questions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_NORTH: Final = "positive towards the north Galactic pole"
_ROTATION: Final = "right-handed about the axis to the north Galactic pole, so that the disc's rotation is negative"
_FIELD: Final = (
    "the field mean v_r = mu_compr + d . n, n the direction of a star from the Galactic centre"
)
_BULK: Final = "that is left beside the translation of v_travel"
_APEX: Final = (
    "of the apex, the direction from which the stars come and towards which the Galactic centre travels through its"
    " halo, -d of mu_dipole, on Galactocentric axes"
)

_VELOCITIES: Final = {
    **{f"sigma_{x}": f"dispersion of v_{x} about its local mean" for x in ("r", "theta", "phi")},
    "beta": "1 - (sigma_theta^2 + sigma_phi^2) / (2 sigma_r^2), of dispersions about the local means",
    "mean_v_r": "mean v_r, positive outward",
    "mean_v_theta": f"mean v_theta, {_NORTH}",
    "mean_v_phi": f"mean v_phi, {_ROTATION}",
    **{
        f"kurtosis_{x}": f"fourth moment of v_{x} about its mean over its squared variance: 3 of a Gaussian"
        for x in ("r", "theta", "phi")
    },
    "sigma_los": "dispersion of the velocities along the lines of sight from the Sun, about their mean",
    "sigma_l": "dispersion of the velocities towards rising Galactic longitude l, about their mean",
    "sigma_b": "dispersion of the velocities towards rising Galactic latitude b, about their mean",
}
_OVER_THE_SKY: Final = {
    "asymmetry": "rms over the sky of the deviations of ln sigma_r from its mean: 0 where sigma_r is the same all over",
    "mu_compr": f"compression: the constant of {_FIELD}; negative where stars fall in",
    "mu_dipole": f"minus the length of d of {_FIELD}: never positive, with the apex at -d; a positive one with"
    " the opposite apex is the same field under another name",
    "v_travel": "length, never negative, of the translation t in mean v = t + v_r e_r + v_theta e_theta + v_phi e_phi,"
    " a translation and a bulk motion along the spherical axes that together fit the mean velocities best",
    "bulk_v_r": f"mean v_r {_BULK}, positive outward",
    "bulk_v_theta": f"mean v_theta {_BULK}, {_NORTH}",
    "bulk_v_phi": f"mean v_phi {_BULK}, {_ROTATION}",
    "apex_l": f"longitude {_APEX}: 0 from the Sun to the centre, 90 in the direction of the disc's rotation, to +-180",
    "apex_b": f"latitude {_APEX}: 90 at the north Galactic pole",
    "mean_v_r_north": "mean v_r north of the Galactic plane, at z > 0, positive outward",
    "mean_v_r_south": "mean v_r south of the Galactic plane, at z < 0, positive outward",
    "mean_v_theta_predicted": "(pi / 4) mu_dipole sin(apex_b): the mean v_theta that this dipole would make if the halo"
    f" were translated as a whole, {_NORTH}",
}
#: By quantity: all whose truth a number can be compared with.
DEFINITIONS: Final[Mapping[str, str]] = {
    "enclosed_mass": "mass of the Galaxy, dark matter, stars and gas, within the Galactocentric radius r; that of"
    " satellites such as the LMC does not count",
    "v_c": "circular velocity at the radius r, sqrt(G M(<r) / r), of the mass M(<r) of the Galaxy without satellites",
    "v_esc": "escape speed at the radius r, sqrt(-2 Phi(r)): Phi is the potential of the Galaxy without satellites,"
    " averaged over the sphere and zero at infinity",
    "m200": "virial mass of the dark halo: within the radius r200 of 200 times the critical density",
    "r200": "virial radius of the dark halo: the mean density within it is 200 times the critical one",
    "c200": "concentration of the dark halo, r200 over the radius at which its density falls as r^-2",
    **_VELOCITIES,
    **_OVER_THE_SKY,
    "feh_mean": "mean of [Fe/H]",
    "feh_sigma": "scatter of [Fe/H] about its mean",
    "p_mr": "share of the metal-rich population",
    "p_mi": "share of the intermediate population",
    "alpha": "slope d ln rho / d ln r at the radius r of the density of all of the halo's stars, whichever a survey"
    " sees, averaged over the sky",
    "r_break": "radius at which the slope d ln rho / d ln r of the density of all of the halo's stars, whichever a"
    " survey sees, changes fastest",
    "q_halo": "axis ratio of the density of the dark halo, along z over in the Galactic plane: 1 where it is round,"
    " less where it is flattened",
}
