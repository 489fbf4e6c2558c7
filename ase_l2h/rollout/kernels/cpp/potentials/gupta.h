// Gupta's second-moment potential, uncut (CUT 0), with a hard cut-off (1) or a smooth one
// (2); as ase_l2h/potentials/gupta.py.

#pragma once

#include "potentials/pairs.h"

#define SCRATCH_ROWS 1
// Numbers per pair that are kept between two visits: slopes of the hopping.
#define PAIR_NUMBERS PAIRS_ONCE
// Neighbours that exponentials are taken of at once, see falling_exponentials.
#define TOGETHER 4

#define TABLE_SIZE (SPECIES_COUNT * SPECIES_COUNT)
struct PotentialParameters {
  // A e^p, p / r0, xi^2 e^(2 q) and 2 q / r0, each (SPECIES_COUNT, SPECIES_COUNT).
  number tables[4][TABLE_SIZE];
  number cut, cut_squared, onset_squared, switching;
};
enum { REPULSION, REPULSION_RATE, HOPPING_STRENGTH, HOPPING_RATE };

// Parameters of one atom with an atom of each species.
struct Row {
#if OWN_SPECIES
  real of[4][SPECIES_COUNT];
#else
  const number* of;
#endif
};
#if OWN_SPECIES
typedef real PairNumber;
#else
typedef number PairNumber;
#endif

FUNCTION Row row_of(const PotentialParameters& p, const Kind* kinds, int i) {
  Row row;
#if OWN_SPECIES
  for (int t = 0; t < 4; ++t)
    for (int other = 0; other < SPECIES_COUNT; ++other) {
      row.of[t][other] = real{} + p.tables[t][other];
      for (int k = 1; k < SPECIES_COUNT; ++k)
        row.of[t][other] = select(kinds[i] == (number)k,
                                  real{} + p.tables[t][k * SPECIES_COUNT + other],
                                  row.of[t][other]);
    }
#else
  row.of = p.tables[0] + (SPECIES_COUNT == 1 ? 0 : kinds[i] * SPECIES_COUNT);
#endif
  return row;
}
FUNCTION PairNumber with_atom(const Row& row, const Kind* kinds, int table, int j) {
#if OWN_SPECIES
  real value = row.of[table][0];
  for (int k = 1; k < SPECIES_COUNT; ++k)
    value = select(kinds[j] == (number)k, row.of[table][k], value);
  return value;
#else
  return row.of[table * TABLE_SIZE + (SPECIES_COUNT == 1 ? 0 : kinds[j])];
#endif
}

// A pair term and minus its derivative by r, both cut off; smoothly: times w, with
// dw/dr = 12 r `slope`.
FUNCTION void cut_off(const PotentialParameters& p, real r, real* value, real* falls) {
#if CUT == 1
  const mask inside = r < p.cut;
  *value = select(inside, *value, real{});
  *falls = select(inside, *falls, real{});
#elif CUT == 2
  const mask inside = r < p.cut;
  real w, slope;
  const mask switching =
      switched(r * r, p.cut_squared, p.onset_squared, p.switching, &w, &slope);
  const real falls_more = *value * (12.0f * r * slope);
  *falls = select(inside, select(switching, *falls * w - falls_more, *falls), real{});
  *value = select(inside, select(switching, *value * w, *value), real{});
#else
  (void)p;
  (void)r;
  (void)value;
  (void)falls;
#endif
}

// Whether a neighbour counts in no lane: most images in a cell are far away.
FUNCTION bool too_far(const PotentialParameters& p, real r) {
#if CUT
  return !any_lane(r < p.cut);
#else
  (void)p;
  (void)r;
  return false;
#endif
}

#if PAIRS_ONCE
FUNCTION void evaluate(const real* positions, int n, const Kind* kinds,
                       const number* from, const Lattice&, real* scratch,
                       real* energies, real* gradient) {
  const PotentialParameters& p =
      *reinterpret_cast<const PotentialParameters*>(from);
  const real* xs = positions;
  const real* ys = positions + n;
  const real* zs = positions + 2 * n;
  real* moments = scratch;
  real* kept = scratch + n;
  for (int i = 0; i < n; ++i) energies[i] = moments[i] = real{};
  for (int i = 0; i < 3 * n; ++i) gradient[i] = real{};
  int pair = 0;
  for (int i = 0; i < n; ++i) {
    const Row row = row_of(p, kinds, i);
    real e = real{}, moment = real{}, gx = real{}, gy = real{}, gz = real{};
    auto with = [&]<int COUNT>(int j) {
      PairNumber repel_rate[COUNT], hop_rate[COUNT];
      real d[3][COUNT], squared[COUNT], inverse[COUNT], both[2 * COUNT], r[COUNT];
      for (int k = 0; k < COUNT; ++k) {
        real x = xs[i] - xs[j + k], y = ys[i] - ys[j + k], z = zs[i] - zs[j + k];
        repel_rate[k] = with_atom(row, kinds, REPULSION_RATE, j + k);
        hop_rate[k] = with_atom(row, kinds, HOPPING_RATE, j + k);
        squared[k] = larger(x * x + y * y + z * z, real{} + 1e-30f);
        d[0][k] = x;
        d[1][k] = y;
        d[2][k] = z;
      }
      inverse_roots<COUNT>(squared, inverse);
      for (int k = 0; k < COUNT; ++k) {
        r[k] = squared[k] * inverse[k];
        both[k] = r[k] * -repel_rate[k];
        both[COUNT + k] = r[k] * -hop_rate[k];
      }
      falling_exponentials<2 * COUNT>(both);
      for (int k = 0; k < COUNT; ++k, ++pair) {
        real repel = both[k] * with_atom(row, kinds, REPULSION, j + k);
        real hop = both[COUNT + k] * with_atom(row, kinds, HOPPING_STRENGTH, j + k);
        real repel_falls = repel_rate[k] * repel, hop_falls = hop_rate[k] * hop;
        cut_off(p, r[k], &repel, &repel_falls);
        cut_off(p, r[k], &hop, &hop_falls);
        e = e + repel;
        energies[j + k] = energies[j + k] + repel;
        moment = moment + hop;
        moments[j + k] = moments[j + k] + hop;
        kept[pair] = 0.5f * hop_falls * inverse[k];
        real f = -2.0f * repel_falls * inverse[k];
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
}
#else
FUNCTION void evaluate(const real* positions, int n, const Kind* kinds,
                       const number* from, const Lattice& lattice, real* scratch,
                       real* energies, real* gradient) {
  const PotentialParameters& p =
      *reinterpret_cast<const PotentialParameters*>(from);
  const real one = real{} + 1.0f;
  real* embedding = scratch;
  EACH(i, n) {
    const Row row = row_of(p, kinds, i);
    real repulsion = real{}, moment = real{};
    real gx = real{}, gy = real{}, gz = real{}, hx = real{}, hy = real{}, hz = real{};
    over_neighbours(
        positions, n, i, one, lattice, [&](int j, const real* d, real squared) {
          real r = square_root(larger(squared, one * 1e-30f));
          if (too_far(p, r)) return;
          const PairNumber repel_rate = with_atom(row, kinds, REPULSION_RATE, j);
          const PairNumber hop_rate = with_atom(row, kinds, HOPPING_RATE, j);
          real inverse = 1.0f / r;
          real repel = exponential(r * -repel_rate) * with_atom(row, kinds, REPULSION, j);
          real hop =
              exponential(r * -hop_rate) * with_atom(row, kinds, HOPPING_STRENGTH, j);
          real repel_falls = repel_rate * repel, hop_falls = hop_rate * hop;
          cut_off(p, r, &repel, &repel_falls);
          cut_off(p, r, &hop, &hop_falls);
          repulsion = repulsion + repel;
          moment = moment + hop;
          real f = -2.0f * repel_falls * inverse;
          real h = -0.5f * hop_falls * inverse;
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
    embedding[i] = mine;
    energies[i] = repulsion - select(bonded, root, real{});
    gradient[i] = gx - mine * hx;
    gradient[n + i] = gy - mine * hy;
    gradient[2 * n + i] = gz - mine * hz;
  }
  barrier();
  EACH(i, n) {
    const Row row = row_of(p, kinds, i);
    real gx = real{}, gy = real{}, gz = real{};
    over_neighbours(
        positions, n, i, one, lattice, [&](int j, const real* d, real squared) {
          real r = square_root(larger(squared, one * 1e-30f));
          if (too_far(p, r)) return;
          const PairNumber hop_rate = with_atom(row, kinds, HOPPING_RATE, j);
          real hop =
              exponential(r * -hop_rate) * with_atom(row, kinds, HOPPING_STRENGTH, j);
          real hop_falls = hop_rate * hop;
          cut_off(p, r, &hop, &hop_falls);
          real h = 0.5f * hop_falls * embedding[j] / r;
          gx = gx + h * d[0];
          gy = gy + h * d[1];
          gz = gz + h * d[2];
        });
    gradient[i] = gradient[i] + gx;
    gradient[n + i] = gradient[n + i] + gy;
    gradient[2 * n + i] = gradient[2 * n + i] + gz;
  }
}
#endif
