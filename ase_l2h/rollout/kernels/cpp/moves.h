// Moves of basin hopping, as in ase_l2h/optimizers/basin_hopping/moves.py, on one
// structure (3, n) of plain numbers in reduced units. All threads come here, and leave at
// a barrier.

#pragma once

#include "arguments.h"
#include "random.h"

FUNCTION float squared_norm(const float* points, int n, int i) {
  return points[i] * points[i] + points[n + i] * points[n + i] +
         points[2 * n + i] * points[2 * n + i];
}
FUNCTION void centroid(const float* points, int n, float* centre) {
  for (int c = 0; c < 3; ++c)
    centre[c] = sum_of<float>(n, [&](int i) { return points[c * n + i]; }) / (float)n;
}
FUNCTION int first_largest(const float* values, int n) {
  const float top = largest_among<float>(n, [&](int i) { return values[i]; });
  return (int)-largest_among<float>(
      n, [&](int i) { return values[i] == top ? -(float)i : -(float)n; });
}

// Free clusters: around the origin, and inside the container.
FUNCTION void contain(float* points, int n, float radius) {
#if RECENTRED
  float centre[3];
  centroid(points, n, centre);
  barrier();
  EACH(i, n) {
    for (int c = 0; c < 3; ++c) points[c * n + i] -= centre[c];
    const float squared = squared_norm(points, n, i);
    const bool outside = squared > radius * radius;
    const float factor = outside ? (radius - 1.0f) / sqrtf(squared) : 1.0f;
    for (int c = 0; c < 3; ++c) points[c * n + i] *= factor;
  }
#endif
  barrier();
}

FUNCTION void direction(Key key, int count, int k, float* unit) {
  float square = 1e-30f;
  for (int c = 0; c < 3; ++c) {
    unit[c] = normal(key, c * count + k);
    square += unit[c] * unit[c];
  }
  for (int c = 0; c < 3; ++c) unit[c] /= sqrtf(square);
}
// Of `count` points uniform in the unit ball, number k.
FUNCTION void in_ball(Key key, int count, int k, float* point) {
  const float radius = powf(uniform(child(key, 1), k), 1.0f / 3.0f);
  direction(child(key, 0), count, k, point);
  for (int c = 0; c < 3; ++c) point[c] *= radius;
}

FUNCTION void kick(Key key, float size, int form, float* points, int n) {
  if (form == 0) {
    EACH(e, 3 * n) points[e] += size * (uniform(key, e) * 2.0f - 1.0f);
  } else if (form == 2) {
    EACH(e, 3 * n) points[e] += size * normal(key, e);
  } else {
    EACH(i, n) {
      float point[3];
      in_ball(key, n, i, point);
      for (int c = 0; c < 3; ++c) points[c * n + i] += size * point[c];
    }
  }
  barrier();
}

// `strength` holds the energies of the atoms, and is written to.
FUNCTION void surface_move(Key key, float threshold, int count, float* points,
                           float* strength, int n) {
  float centre[3];
  centroid(points, n, centre);
  const float lowest =
      -largest_among<float>(n, [&](int i) { return -strength[i]; });
  barrier();
  EACH(i, n)
  for (int c = 0; c < 3; ++c) points[c * n + i] -= centre[c];
  barrier();
  for (int k = 0; k < count; ++k) {
    const int weakest = first_largest(strength, n);
    const bool moves = strength[weakest] > threshold * lowest;
    float unit[3];
    direction(key, count, k, unit);
    // Where an atom that comes in touches the first of the others.
    const float reach = largest_among<float>(n, [&](int j) {
      const float along = unit[0] * points[j] + unit[1] * points[n + j] +
                          unit[2] * points[2 * n + j];
      const float aside = squared_norm(points, n, j) - along * along;
      const bool meets = j != weakest && aside < 1.0f;
      return meets ? along + sqrtf(aside < 1.0f ? 1.0f - aside : 0.0f) : -infinite();
    });
    const float outermost = sqrtf(largest_among<float>(
        n, [&](int j) { return j != weakest ? squared_norm(points, n, j) : 0.0f; }));
    const float far = reach > -infinite() ? reach : outermost;
    barrier();
    if (thread_index() == 0) {
      strength[weakest] = -infinite();
      for (int c = 0; c < 3 && moves; ++c) points[c * n + weakest] = far * unit[c];
    }
    barrier();
  }
  EACH(i, n)
  for (int c = 0; c < 3; ++c) points[c * n + i] += centre[c];
  barrier();
}

// Atoms with a fixed coordinate are not exchanged.
FUNCTION bool is_movable(const Arguments& a, int i) {
  const int n = a.n;
  return !(is_fixed(a, i) || is_fixed(a, n + i) || is_fixed(a, 2 * n + i));
}
// Scores of pairs of unlike atoms are 23 random bits; the first of the highest is taken.
FUNCTION int pair_score(const Arguments& a, Key key, const int* species, int i, int j) {
  const int bits = (int)(random_bits(key, i * a.n + j) >> 9);
  const bool unlike = species[i] != species[j];
  return unlike && is_movable(a, i) && is_movable(a, j) ? bits : -1;
}
FUNCTION void swap_move(const Arguments& a, Key key, const int* species, float* points,
                        float* scores) {
  const int n = a.n;
  EACH(i, n) {
    int best = -1;
    for (int j = 0; j < n; ++j) {
      const int score = pair_score(a, key, species, i, j);
      best = score > best ? score : best;
    }
    scores[i] = (float)best;
  }
  barrier();
  const int first = first_largest(scores, n);
  const float best = scores[first];
  int second = first;
  if (best >= 0.0f)
    for (second = 0; pair_score(a, key, species, first, second) != (int)best;) ++second;
  if (thread_index() == 0)
    for (int c = 0; c < 3; ++c) {
      const float kept = points[c * n + first];
      points[c * n + first] = points[c * n + second];
      points[c * n + second] = kept;
    }
  barrier();
}

// A random neighbour of the minimum `points`.
FUNCTION void propose(const Arguments& a, Key key, float size, const int* species,
                      float* points, float* strength) {
  const HopOptions& o = a.hopping;
  const int n = a.n;
  if (uniform(child(key, 2), 0) < o.swap) {
    swap_move(a, child(key, 3), species, points, strength);
  } else {
    kick(child(key, 0), size, o.kick, points, n);
    if (o.surface_atoms)
      surface_move(child(key, 1), o.surface, o.surface_atoms, points, strength, n);
  }
  contain(points, n, o.radius);
}

// In a ball, or in the cell.
FUNCTION void random_structure(const HopOptions& o, Key key, const float* cell,
                               float length, float* points, int n) {
  EACH(i, n) {
    float point[3];
    if (cell) {
      for (int c = 0; c < 3; ++c) {
        point[c] = 0.0f;
        for (int k = 0; k < 3; ++k)
          point[c] += cell[3 * k + c] / length * uniform(key, k * n + i);
      }
    } else {
      in_ball(key, n, i, point);
      for (int c = 0; c < 3; ++c) point[c] *= o.packed_radius;
    }
    for (int c = 0; c < 3; ++c) points[c * n + i] = point[c];
  }
  barrier();
  contain(points, n, o.radius);
}
