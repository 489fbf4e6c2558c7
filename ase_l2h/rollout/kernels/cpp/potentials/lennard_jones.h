// Lennard-Jones 12-6, uncut (CUT 0), truncated and shifted (1) or smoothly cut (2); as
// ase_l2h/potentials/lennard_jones.py.

#pragma once

#include "potentials/pairs.h"

#define SCRATCH_ROWS 0
#define PAIR_NUMBERS 0

// Lengths in units of sigma: energy is (2 epsilon) u per atom and pair, the gradient
// (48 epsilon / sigma) f d.
struct PotentialParameters {
  number POTENTIAL_PARAMETERS;
};

FUNCTION void pair(const PotentialParameters& p, real squared, real* u, real* f) {
  const real inverse = 1.0f / squared;
  const real s6 = inverse * inverse * inverse;
  *u = s6 * (s6 - 1.0f);
  *f = (0.5f - s6) * (s6 * inverse);
#if CUT == 1
  const mask inside = squared <= p.cut_squared;
  *u = select(inside, *u - p.shift, real{});
  *f = select(inside, *f, real{});
#elif CUT == 2
  // u times w = (c - x)^2 (c + 2 x - 3 o) / (c - o)^3 between the onset o and the end c,
  // x = r^2; dw/dx = 6 (c - x) (o - x) / (c - o)^3, and du/dx = 6 f.
  const mask inside = squared < p.cut_squared;
  const real x = select(inside, squared, real{} + p.cut_squared);
  const real left = p.cut_squared - x, past = p.onset_squared - x;
  const mask switching = past <= 0.0f;
  const real w = left * left * (left - 3.0f * past) * p.switching;
  const real slope = left * past * p.switching;
  *f = select(inside, select(switching, *f * w + *u * slope, *f), real{});
  *u = select(inside, select(switching, *u * w, *u), real{});
#else
  (void)p;
#endif
}

// Energy of each atom, and the gradient (3, n). All threads must come here; ends with
// what atom i needs written by the thread that has atom i, without a barrier.
FUNCTION void evaluate(const real* positions, int n, const Kind*, const number* from,
                       const Lattice& lattice, real*, real* energies,
                       real* gradient) {
  const PotentialParameters& p =
      *reinterpret_cast<const PotentialParameters*>(from);
  const number reduce = p.inverse_length * p.inverse_length;
#if PAIRS_ONCE
  (void)lattice;
  const real* xs = positions;
  const real* ys = positions + n;
  const real* zs = positions + 2 * n;
  for (int i = 0; i < n; ++i) energies[i] = real{};
  for (int i = 0; i < 3 * n; ++i) gradient[i] = real{};
  for (int i = 0; i < n; ++i) {
    real e = real{}, gx = real{}, gy = real{}, gz = real{};
    for (int j = 0; j < i; ++j) {
      real x = xs[i] - xs[j], y = ys[i] - ys[j], z = zs[i] - zs[j];
      real u, f;
      pair(p, (x * x + y * y + z * z) * reduce, &u, &f);
      e = e + u;
      energies[j] = energies[j] + u;
      x = x * f;
      y = y * f;
      z = z * f;
      gx = gx + x;
      gy = gy + y;
      gz = gz + z;
      add_both(gradient, n, j, x, y, z);
    }
    energies[i] = energies[i] + e;
    add_both(gradient, n, i, real{} - gx, real{} - gy, real{} - gz);
  }
  for (int i = 0; i < n; ++i) energies[i] = energies[i] * p.energy;
  for (int i = 0; i < 3 * n; ++i)
    gradient[i] = gradient[i] * (p.slope * p.inverse_length);
#else
  EACH(i, n) {
    real e = real{}, gx = real{}, gy = real{}, gz = real{};
    over_neighbours(positions, n, i, real{} + 1.0f, lattice,
                    [&](int, const real* d, real squared) {
                      real u, f;
                      pair(p, squared * reduce, &u, &f);
                      e = e + u;
                      gx = gx + f * d[0];
                      gy = gy + f * d[1];
                      gz = gz + f * d[2];
                    });
    energies[i] = e * p.energy;
    const number slope = p.slope * p.inverse_length;
    gradient[i] = gx * slope;
    gradient[n + i] = gy * slope;
    gradient[2 * n + i] = gz * slope;
  }
#endif
}
