// Sums over pairs, for potentials that define `pair` and three parameters: energy, slope
// and inverse_length. `pair` gives u and f of a squared distance in units of the length:
// the energy of each atom is energy times u, the gradient slope / length times f d.

#pragma once

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
#if CUT
                      // Most images in a cell are far away.
                      if (!any_lane(squared * reduce <= p.cut_squared)) return;
#endif
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
