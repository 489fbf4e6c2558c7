// Energy and gradient: Lennard-Jones, Gupta, Stillinger-Weber.
//
// Formulae and signs are those of ase_l2h/potentials; POTENTIAL chooses. Every atom sums
// over all its neighbours, so that no two threads write to one place; only where one
// thread has all atoms, in the lanes of the host, is a pair visited once.

#pragma once

#include "numbers.h"

#define LENNARD_JONES 1
#define GUPTA 2
#define STILLINGER_WEBER 3

// Rows of scratch that an evaluation needs besides energy and gradient.
#if POTENTIAL == GUPTA
#define SCRATCH_ROWS 1
#elif POTENTIAL == STILLINGER_WEBER
#define SCRATCH_ROWS 10
#else
#define SCRATCH_ROWS 0
#endif

// Where one thread has all atoms, a pair gives both of its atoms their share at once.
#define PAIRS_ONCE (LANES > 1 && !PERIODIC)
#define ENERGY_ONCE (PAIRS_ONCE && POTENTIAL != STILLINGER_WEBER)
// Numbers per pair that are kept between two visits.
#define PAIR_NUMBERS (ENERGY_ONCE && POTENTIAL == GUPTA)
// Neighbours that Gupta's exponentials are taken of at once, see falling_exponentials.
#define TOGETHER 4

struct Lattice {
  const float* cell;     // rows, then the rows of the inverse; null for a cluster
  const float* images;   // translations, zero first
  int n_images;
};

// Calls visit(j, d, d^2) for every neighbour of atom i, d = scale * (r_i - r_j).
template <class Visit>
FUNCTION void over_neighbours(const real* positions, int n, int i, real scale,
                              const Lattice& lattice, Visit visit) {
  (void)lattice;
  const real x = positions[i], y = positions[n + i], z = positions[2 * n + i];
  for (int j = 0; j < n; ++j) {
    real d[3] = {(x - positions[j]) * scale, (y - positions[n + j]) * scale,
                 (z - positions[2 * n + j]) * scale};
#if PERIODIC
    const float* cell = lattice.cell;
    const float* inverse = cell + 9;
    {
      real turns[3];
      for (int k = 0; k < 3; ++k)
        turns[k] = nearest_whole(d[0] * inverse[k] + d[1] * inverse[3 + k] +
                                 d[2] * inverse[6 + k]);
      for (int k = 0; k < 3; ++k)
        d[k] = d[k] - (turns[0] * cell[k] + turns[1] * cell[3 + k] +
                       turns[2] * cell[6 + k]);
    }
    for (int m = 0; m < lattice.n_images; ++m) {
      if (j == i && m == 0) continue;
      const float* shift = lattice.images + 3 * m;
      real e[3] = {d[0] + shift[0], d[1] + shift[1], d[2] + shift[2]};
      visit(j, e, e[0] * e[0] + e[1] * e[1] + e[2] * e[2]);
    }
#else
    if (j == i) continue;
    visit(j, d, d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
#endif
  }
}

#if ENERGY_ONCE
FUNCTION void add_both(real* gradient, int n, int j, real x, real y, real z) {
  gradient[j] = gradient[j] - x;
  gradient[n + j] = gradient[n + j] - y;
  gradient[2 * n + j] = gradient[2 * n + j] - z;
}

FUNCTION void evaluate_pairs_once(const real* positions, int n, const int* species,
                                  const float* p, real* scratch, real* energies,
                                  real* gradient) {
  const real* xs = positions;
  const real* ys = positions + n;
  const real* zs = positions + 2 * n;
  (void)species;
  (void)scratch;
  for (int i = 0; i < n; ++i) energies[i] = real{};
  for (int i = 0; i < 3 * n; ++i) gradient[i] = real{};
#if POTENTIAL == LENNARD_JONES
  const float reduce = p[2] * p[2];
  for (int i = 0; i < n; ++i) {
    real e = real{}, gx = real{}, gy = real{}, gz = real{};
    for (int j = 0; j < i; ++j) {
      real x = xs[i] - xs[j], y = ys[i] - ys[j], z = zs[i] - zs[j];
      real inverse = 1.0f / ((x * x + y * y + z * z) * reduce);
      real s6 = inverse * inverse * inverse, u = s6 * (s6 - 1.0f);
      real f = (0.5f - s6) * (s6 * inverse);
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
  for (int i = 0; i < n; ++i) energies[i] = energies[i] * p[0];
  for (int i = 0; i < 3 * n; ++i) gradient[i] = gradient[i] * (p[1] * p[2]);
#else
  const int pairs = SPECIES_COUNT * SPECIES_COUNT;
  real* moments = scratch;
  real* kept = scratch + n;  // hopping slopes, pair by pair
  for (int i = 0; i < n; ++i) moments[i] = real{};
  int pair = 0;
  for (int i = 0; i < n; ++i) {
    real e = real{}, moment = real{}, gx = real{}, gy = real{}, gz = real{};
    auto with = [&]<int COUNT>(int j) {
      const float* q[COUNT];
      real d[3][COUNT], squared[COUNT], inverse[COUNT], both[2 * COUNT];
      for (int k = 0; k < COUNT; ++k) {
        real x = xs[i] - xs[j + k], y = ys[i] - ys[j + k], z = zs[i] - zs[j + k];
        q[k] = p + (SPECIES_COUNT == 1 ? 0 : species[i] * SPECIES_COUNT + species[j + k]);
        squared[k] = larger(x * x + y * y + z * z, real{} + 1e-30f);
        d[0][k] = x;
        d[1][k] = y;
        d[2][k] = z;
      }
      inverse_roots<COUNT>(squared, inverse);
      for (int k = 0; k < COUNT; ++k) {
        real r = squared[k] * inverse[k];
        both[k] = r * -q[k][pairs];
        both[COUNT + k] = r * -q[k][3 * pairs];
      }
      falling_exponentials<2 * COUNT>(both);
      for (int k = 0; k < COUNT; ++k, ++pair) {
        real repel = both[k] * q[k][0], hop = both[COUNT + k] * q[k][2 * pairs];
        e = e + repel;
        energies[j + k] = energies[j + k] + repel;
        moment = moment + hop;
        moments[j + k] = moments[j + k] + hop;
        kept[pair] = 0.5f * q[k][3 * pairs] * hop * inverse[k];
        real f = -2.0f * q[k][pairs] * repel * inverse[k];
        real x = d[0][k] * f, y = d[1][k] * f, z = d[2][k] * f;
        gx = gx + x;
        gy = gy + y;
        gz = gz + z;
        add_both(gradient, n, j + k, x, y, z);
      }
    };
    int j = 0;
    for (; j + TOGETHER <= i; j += TOGETHER) with.template operator()<TOGETHER>(j);
    for (; j < i; ++j) with.template operator()<1>(j);
    energies[i] = energies[i] + e;
    moments[i] = moments[i] + moment;
    add_both(gradient, n, i, real{} - gx, real{} - gy, real{} - gz);
  }
  for (int i = 0; i < n; ++i) {
    mask bonded = moments[i] > 0.0f;
    real root = square_root(select(bonded, moments[i], 1.0f));
    energies[i] = energies[i] - select(bonded, root, real{});
    moments[i] = select(bonded, 1.0f / root, real{});
  }
  pair = 0;
  for (int i = 0; i < n; ++i) {
    real gx = real{}, gy = real{}, gz = real{};
    for (int j = 0; j < i; ++j, ++pair) {
      real f = kept[pair] * (moments[i] + moments[j]);
      real x = (xs[i] - xs[j]) * f, y = (ys[i] - ys[j]) * f, z = (zs[i] - zs[j]) * f;
      gx = gx + x;
      gy = gy + y;
      gz = gz + z;
      add_both(gradient, n, j, x, y, z);
    }
    add_both(gradient, n, i, real{} - gx, real{} - gy, real{} - gz);
  }
#endif
}
#endif

// Energy of each atom, and the gradient (3, n). All threads must come here; ends with
// what atom i needs written by the thread that has atom i, without a barrier.
FUNCTION void evaluate(const real* positions, int n, const int* species,
                       const float* p, const Lattice& lattice, real* scratch,
                       real* energies, real* gradient) {
  const real one = real{} + 1.0f;
  (void)species;
  (void)scratch;
#if ENERGY_ONCE
  evaluate_pairs_once(positions, n, species, p, scratch, energies, gradient);
#elif POTENTIAL == LENNARD_JONES
  // p: 2 epsilon, 48 epsilon / sigma, 1 / sigma.
  EACH(i, n) {
    real e = real{}, gx = real{}, gy = real{}, gz = real{};
    over_neighbours(positions, n, i, one * p[2], lattice,
                    [&](int, const real* d, real squared) {
                      real inverse = 1.0f / squared;
                      real s6 = inverse * inverse * inverse;
                      e = e + s6 * (s6 - 1.0f);
                      real f = (0.5f - s6) * (s6 * inverse);
                      gx = gx + f * d[0];
                      gy = gy + f * d[1];
                      gz = gz + f * d[2];
                    });
    energies[i] = e * p[0];
    gradient[i] = gx * p[1];
    gradient[n + i] = gy * p[1];
    gradient[2 * n + i] = gz * p[1];
  }
#elif POTENTIAL == GUPTA
  // p: A e^p, p / r0, xi^2 e^(2 q), 2 q / r0, each (SPECIES_COUNT, SPECIES_COUNT).
  const int pairs = SPECIES_COUNT * SPECIES_COUNT;
  real* inverse_roots = scratch;
  EACH(i, n) {
    real repulsion = real{}, moment = real{};
    real gx = real{}, gy = real{}, gz = real{}, hx = real{}, hy = real{}, hz = real{};
    over_neighbours(
        positions, n, i, one, lattice, [&](int j, const real* d, real squared) {
          const int row = SPECIES_COUNT == 1 ? 0 : species[i] * SPECIES_COUNT + species[j];
          const float* q = p + row;
          real r = square_root(larger(squared, one * 1e-30f));
          real inverse = 1.0f / r;
          real repel = exponential(r * -q[pairs]) * q[0];
          real hop = exponential(r * -q[3 * pairs]) * q[2 * pairs];
          repulsion = repulsion + repel;
          moment = moment + hop;
          real f = -2.0f * q[pairs] * repel * inverse;
          real h = -0.5f * q[3 * pairs] * hop * inverse;
          gx = gx + f * d[0];
          gy = gy + f * d[1];
          gz = gz + f * d[2];
          hx = hx + h * d[0];
          hy = hy + h * d[1];
          hz = hz + h * d[2];
        });
    mask bonded = moment > 0.0f;
    real root = square_root(select(bonded, moment, one));
    real mine = select(bonded, 1.0f / root, real{});
    inverse_roots[i] = mine;
    energies[i] = repulsion - select(bonded, root, real{});
    gradient[i] = gx - mine * hx;
    gradient[n + i] = gy - mine * hy;
    gradient[2 * n + i] = gz - mine * hz;
  }
  barrier();
  EACH(i, n) {
    real gx = real{}, gy = real{}, gz = real{};
    over_neighbours(
        positions, n, i, one, lattice, [&](int j, const real* d, real squared) {
          const int row = SPECIES_COUNT == 1 ? 0 : species[i] * SPECIES_COUNT + species[j];
          const float* q = p + row;
          real r = square_root(larger(squared, one * 1e-30f));
          real hop = exponential(r * -q[3 * pairs]) * q[2 * pairs];
          real h = 0.5f * q[3 * pairs] * hop * inverse_roots[j] / r;
          gx = gx + h * d[0];
          gy = gy + h * d[1];
          gz = gz + h * d[2];
        });
    gradient[i] = gradient[i] + gx;
    gradient[n + i] = gradient[n + i] + gy;
    gradient[2 * n + i] = gradient[2 * n + i] + gz;
  }
#elif POTENTIAL == STILLINGER_WEBER
  // p: epsilon, sigma, A, B, lambda, gamma, a, cos theta_0; exponents 4 and 0.
  const float epsilon = p[0], sigma = p[1], c0 = p[7], range = p[6] * p[1];
  const float strength = p[4] * p[0], away = (1.0f - c0) * (1.0f - c0);
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
          real gap = larger(p[6] - r, one * 1.1920929e-7f);
          real steep = 1.0f / gap, inverse = 1.0f / r;
          real fall = exponential(-1.0f * steep), power = inverse * inverse;
          power = power * power * p[3];
          real depth = p[2] * epsilon * fall;
          real u = depth * (power - 1.0f);
          real slope = depth * (-4.0f * power * inverse) - u * steep * steep;
          real f = select(inside, slope * inverse, real{}) / (sigma * sigma);
          pair = pair + select(inside, u, real{});
          gx = gx + f * d[0];
          gy = gy + f * d[1];
          gz = gz + f * d[2];
          real g = select(inside, exponential(-p[5] * steep), real{});
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
          real steep = 1.0f / larger(p[6] - r, one * 1.1920929e-7f);
          real g = select(inside, exponential(-p[5] * steep), real{});
          real inverse = 1.0f / (r * sigma);
          real slope = -p[5] * g * steep * steep / sigma * inverse;
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
#endif
}
