// Neighbours of an atom, and pairs: the geometry that potentials and rules share.
//
// Every atom sums over all its neighbours, so that no two threads write to one place;
// only where one thread has all atoms, in the lanes of the host, is a pair visited once.

#pragma once

#include "numbers.h"

// Where one thread has all atoms, a pair gives both of its atoms their share at once.
#define PAIRS_ONCE (LANES > 1 && !PERIODIC)
// Whether the structures in the lanes have species of their own.
#define OWN_SPECIES (LANES > 1 && LANE_SPECIES)

struct Lattice {
  const number* cell;     // rows, then the rows of the inverse; null for a cluster
  const number* images;   // translations, zero first
  int n_images;
};

// Calls visit(j, d, d^2) for every neighbour of atom i, d = scale * (r_i - r_j); the
// lattice is in the units of d.
template <class Visit>
FUNCTION void over_neighbours(const real* positions, int n, int i, real scale,
                              const Lattice& lattice, Visit visit) {
  (void)lattice;
  const real x = positions[i], y = positions[n + i], z = positions[2 * n + i];
  for (int j = 0; j < n; ++j) {
    real d[3] = {(x - positions[j]) * scale, (y - positions[n + j]) * scale,
                 (z - positions[2 * n + j]) * scale};
#if PERIODIC
    const number* cell = lattice.cell;
    const number* inverse = cell + 9;
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
      const number* shift = lattice.images + 3 * m;
      real e[3] = {d[0] + shift[0], d[1] + shift[1], d[2] + shift[2]};
      visit(j, e, e[0] * e[0] + e[1] * e[1] + e[2] * e[2]);
    }
#else
    if (j == i) continue;
    visit(j, d, d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
#endif
  }
}

// The species of an atom: one for all lanes, or for each its own.
#if OWN_SPECIES
typedef real Kind;
#else
typedef int Kind;
#endif
