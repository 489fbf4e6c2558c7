// Stillinger-Weber with exponents 4 and 0; as ase_l2h/potentials/stillinger_weber.py.

#pragma once

#include "neighbours.h"

// Sums over the neighbours of each atom: weight, vector (3), tensor (6).
#define SCRATCH_ROWS 10
#define PAIR_NUMBERS 0

struct PotentialParameters {
  number POTENTIAL_PARAMETERS;
};

FUNCTION void evaluate(const real* positions, int n, const Kind*, const number* from,
                       const Lattice& lattice, real* scratch, real* energies,
                       real* gradient) {
  const PotentialParameters& p =
      *reinterpret_cast<const PotentialParameters*>(from);
  const real one = real{} + 1.0f;
  const number sigma = p.sigma, c0 = p.cos_theta0, range = p.a * p.sigma;
  const number strength = p.lam * p.epsilon, away = (1.0f - c0) * (1.0f - c0);
  EACH(i, n) {
    real pair = real{}, gx = real{}, gy = real{}, gz = real{};
    real weight = real{}, squares = real{}, vector[3] = {}, tensor[6] = {};
    over_neighbours(
        positions, n, i, one, lattice, [&](int, const real* d, real squared) {
          mask apart = squared > 0.0f;
          pair = select(apart, pair, infinite());
          mask inside = apart & (squared < range * range);
          if (!any_lane(inside)) return;
          real r = square_root(select(inside, squared, one * (sigma * sigma))) / sigma;
          real gap = larger(p.a - r, one * rounding());
          real steep = 1.0f / gap, inverse = 1.0f / r;
          real fall = exponential(-1.0f * steep), power = inverse * inverse;
          power = power * power * p.B;
          real depth = p.A * p.epsilon * fall;
          real u = depth * (power - 1.0f);
          real slope = depth * (-4.0f * power * inverse) - u * steep * steep;
          real f = select(inside, slope * inverse, real{}) / (sigma * sigma);
          pair = pair + select(inside, u, real{});
          gx = gx + f * d[0];
          gy = gy + f * d[1];
          gz = gz + f * d[2];
          real g = select(inside, exponential(-p.gamma * steep), real{});
          real turn = inverse / sigma;
          real x = d[0] * turn, y = d[1] * turn, z = d[2] * turn;
          real wx = g * x, wy = g * y, wz = g * z;
          weight = weight + g;
          squares = squares + g * g;
          vector[0] = vector[0] + wx;
          vector[1] = vector[1] + wy;
          vector[2] = vector[2] + wz;
          tensor[0] = tensor[0] + wx * x;
          tensor[1] = tensor[1] + wy * y;
          tensor[2] = tensor[2] + wz * z;
          tensor[3] = tensor[3] + wx * y;
          tensor[4] = tensor[4] + wy * z;
          tensor[5] = tensor[5] + wz * x;
        });
    scratch[i] = weight;
    for (int k = 0; k < 3; ++k) scratch[(1 + k) * n + i] = vector[k];
    for (int k = 0; k < 6; ++k) scratch[(4 + k) * n + i] = tensor[k];
    real diagonal = tensor[0] * tensor[0] + tensor[1] * tensor[1] + tensor[2] * tensor[2];
    real rest = tensor[3] * tensor[3] + tensor[4] * tensor[4] + tensor[5] * tensor[5];
    real v = vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2];
    real three = diagonal + 2.0f * rest - 2.0f * c0 * v + c0 * c0 * weight * weight -
                 away * squares;
    energies[i] = 0.5f * pair + 0.5f * strength * three;
    gradient[i] = gx;
    gradient[n + i] = gy;
    gradient[2 * n + i] = gz;
  }
  barrier();
  EACH(i, n) {
    real gx = real{}, gy = real{}, gz = real{};
    over_neighbours(
        positions, n, i, one, lattice, [&](int j, const real* d, real squared) {
          mask inside = (squared > 0.0f) & (squared < range * range);
          if (!any_lane(inside)) return;
          real r = square_root(select(inside, squared, one * (sigma * sigma))) / sigma;
          real steep = 1.0f / larger(p.a - r, one * rounding());
          real g = select(inside, exponential(-p.gamma * steep), real{});
          real inverse = 1.0f / (r * sigma);
          real slope = -p.gamma * g * steep * steep / sigma * inverse;
          real x = d[0] * inverse, y = d[1] * inverse, z = d[2] * inverse;
          real total = scratch[i] + scratch[j];
          real v[3], t[6];
          for (int k = 0; k < 3; ++k)
            v[k] = scratch[(1 + k) * n + i] - scratch[(1 + k) * n + j];
          for (int k = 0; k < 6; ++k)
            t[k] = scratch[(4 + k) * n + i] + scratch[(4 + k) * n + j];
          real tx = t[0] * x + t[3] * y + t[5] * z;
          real ty = t[3] * x + t[1] * y + t[4] * z;
          real tz = t[5] * x + t[4] * y + t[2] * z;
          real utu = x * tx + y * ty + z * tz;
          real vu = v[0] * x + v[1] * y + v[2] * z;
          real radial = utu - 2.0f * c0 * vu + c0 * c0 * total - 2.0f * away * g;
          real along = slope * radial, turn = 2.0f * g * inverse;
          gx = gx + along * d[0] + turn * ((tx - utu * x) - c0 * (v[0] - vu * x));
          gy = gy + along * d[1] + turn * ((ty - utu * y) - c0 * (v[1] - vu * y));
          gz = gz + along * d[2] + turn * ((tz - utu * z) - c0 * (v[2] - vu * z));
        });
    gradient[i] = gradient[i] + strength * gx;
    gradient[n + i] = gradient[n + i] + strength * gy;
    gradient[2 * n + i] = gradient[2 * n + i] + strength * gz;
  }
}
