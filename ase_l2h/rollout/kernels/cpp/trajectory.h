// A whole search: `steps` times evaluate, observe, displace, with all state on the chip.
//
// The same steps as ase_l2h/optimizers/rule_steps.py and, where HOPPING is 1,
// basin_hopping/optimizer.py. Arrays have the layout of a SearchState, (rows, n, batch).

#pragma once

#include "arguments.h"
#include "observation.h"
#include POTENTIAL_HEADER
#include RULE_HEADER
#if HOPPING
#include "hopping.h"
#endif

// Rules that have no clock, and keep nothing on the host alone.
#ifndef LEARNED
#define LEARNED 0
#define HIDDEN 0
#define STEP_ROWS 0
#define CLOCK 0
#endif
#ifndef HOST_ROWS
#define HOST_ROWS 0
#endif

// Rows of (n) that a structure needs: positions, following, best, gradient; energy and
// force of each atom; and what potential and rule need.
#define ROWS (14 + SCRATCH_ROWS + MOMENT_ROWS + POOLED_ROWS)
// And of numbers of the whole structure: the first layer's sums, the step table.
#define SHARED_COUNT (HIDDEN + STEP_ROWS)
// Species of each lane, on the host.
#define KIND_ROWS OWN_SPECIES

// memory: (ROWS + KIND_ROWS) n + SHARED_COUNT numbers, and PAIR_NUMBERS per pair.
FUNCTION void trajectory(const Arguments& a, int b, int count, real* memory,
                         const number* theta) {
  const int n = a.n, batch = a.batch;
  real* positions = memory;
  real* following = positions + 3 * n;
  real* best = following + 3 * n;
  real* gradient = best + 3 * n;
  real* energies = gradient + 3 * n;
  real* forces = energies + n;
  real* state = forces + n;
  real* pooled = state + MOMENT_ROWS * n;
  real* base = pooled + POOLED_ROWS * n;
  real* table = base + HIDDEN;
  real* own_kinds = table + STEP_ROWS;
  real* scratch = own_kinds + KIND_ROWS * n;

  EACH(i, n) {
    for (int c = 0; c < 3; ++c) {
      positions[c * n + i] = load(a.positions + (c * n + i) * batch + b, count);
      best[c * n + i] = load(a.best_positions + (c * n + i) * batch + b, count);
    }
    int row = 0;
    for (int part = 0; part < PARTS && !a.only_evaluate; ++part)
      for (int k = 0; k < PART_ROWS(part); ++k, ++row)
        state[row * n + i] = load(a.rows[part] + (k * n + i) * batch + b, count);
  }
#if OWN_SPECIES
  for (int i = 0; i < n; ++i)
    for (int l = 0; l < LANES; ++l) {
      const int which = b + (l < count ? l : count - 1);
      lane(own_kinds[i], l) = a.species[which * a.species_stride + i];
    }
  const Kind* kinds = own_kinds;
#else
  const Kind* kinds = a.species + b * a.species_stride;
  (void)own_kinds;
#endif
  real length = load(a.length_scale + b, count);
  real energy_scale = load(a.energy_scale + b, count);
  real energy = load(a.energy + b, count), force = load(a.force + b, count);
  real best_energy = load(a.best_energy + b, count);
  Whole whole = {};
  if (!a.only_evaluate) load_whole(a, b, count, whole);
#if HOPPING
  Chain chain = load_chain(a, b, count);
#endif
  real charged = real{};
#if LANES == 1
  mask active = a.active[b] != 0;
#else
  mask active;
  for (int l = 0; l < LANES; ++l) active[l] = l < count && a.active[b + l] ? -1 : 0;
#endif
  const Lattice lattice = {a.cell, a.images, a.n_images};
  Observation s;
  s.n = n;
  s.kinds = kinds;
  s.theta = theta;
  s.table = table;
  s.positions = positions;
  s.gradient = gradient;
  s.energies = energies;
  s.atom_scales = a.atom_scales ? a.atom_scales + b : a.atom_scales;
  s.batch = batch;
  s.count = count;
  s.length = length;
  s.energy_scale = energy_scale;
  s.surroundings.cell = a.feature_cell;
  s.surroundings.images = a.feature_images;
  s.surroundings.n_images = a.n_feature_images;

  real step = load(a.steps_taken + b, count) + 1.0f;
#if LEARNED
  fill_step_table(table, step, theta[CLOCK]);
#endif
  barrier();
  if (!a.only_evaluate) recall(s, whole, state);
  for (int t = 0; t < a.steps; ++t) {
    if (!any_lane(active)) break;
    evaluate(positions, n, kinds, a.potential, lattice, scratch, energies, gradient);
    for (int c = 0; c < 3; ++c)
      s.centre[c] = RECENTRED ? sum_over(positions + c * n, n) / (float)n / length
                              : real{};
    EACH(i, n) {
      mask sound = is_finite(energies[i]);
      real g[3], square = real{}, norm = real{};
      for (int c = 0; c < 3; ++c) {
        real raw = gradient[c * n + i];
        mask finite = is_finite(raw);
        sound = sound & finite;
        raw = select(finite, raw, real{});
        if (is_fixed(a, c * n + i)) raw = real{};
        square = square + raw * raw;
        g[c] = raw * length / energy_scale;
        g[c] = larger(smaller(g[c], real{} + 1e15f), real{} - 1e15f);
        norm = norm + g[c] * g[c];
      }
      real scale = GRADIENT_CLIP / larger(square_root(norm), real{} + GRADIENT_CLIP);
      for (int c = 0; c < 3; ++c) gradient[c * n + i] = g[c] * scale;
      forces[i] = select(sound, square, real{} + infinite());
    }
    real added = real{};
#if HOPPING
    if (any_lane(chain.pulling)) {
      mask released;
      added = pulled(a.hopping, s, chain, gradient, following, pooled, &released);
      if (any_lane(released)) forget(s, whole, state, released);
    }
#endif
    if (!a.only_evaluate) remember(s, state, pooled);
    barrier();

    real value = sum_over(energies, n);
    mask finite = is_finite(value);
    value = select(finite, value, real{} + infinite());
    real pull = square_root(largest_of(forces, n));
    pull = select(finite, pull, real{} + infinite());
    s.energy = value / energy_scale + added;
    energy = select(active, value, energy);
    force = select(active, pull, force);
    mask better = energy < best_energy;
    best_energy = select(better, energy, best_energy);
    charged = charged + select(active, real{} + 1.0f, real{});
#if !HOPPING
    if (!a.only_evaluate) active = active & (pull >= (number)a.fmax);
#endif
    EACH(i, n)
    for (int c = 0; c < 3; ++c)
      best[c * n + i] = select(better, positions[c * n + i], best[c * n + i]);
    if (a.only_evaluate) break;
    prepare(s, whole, state, pooled, base);
    barrier();
    mask moving = active;
#if HOPPING
    const real reduced = value / energy_scale;
    const Verdict v =
        judged(a.hopping, s, chain, active, reduced, pull * length / energy_scale);
    const mask fresh = v.ended | v.returned;
    if (any_lane(fresh)) {
      // Free until the displacements and the next forces are written.
      float* points = reinterpret_cast<float*>(following);
      float* strength = reinterpret_cast<float*>(forces);
      mask hit = hop(a, s, v, b, count, reduced, charged, chain, positions, points,
                     strength);
      active = active & opposite(hit);
      moving = active & opposite(fresh);
    }
#endif

    displace(s, whole, state, pooled, base, following);
#if HOPPING
    if (any_lane(fresh)) forget(s, whole, state, fresh);
#endif
    EACH(i, n)
    for (int c = 0; c < 3; ++c) {
      real d = following[c * n + i];
      d = select(moving & is_finite(d), d * length, real{});
      if (is_fixed(a, c * n + i)) d = real{};
      following[c * n + i] = positions[c * n + i] + d;
    }
    barrier();

    real mean[3] = {};
    if (RECENTRED)
      for (int c = 0; c < 3; ++c)
        mean[c] = select(moving, sum_over(following + c * n, n) / (float)n, real{});
    EACH(i, n)
    for (int c = 0; c < 3; ++c) positions[c * n + i] = following[c * n + i] - mean[c];
    step = step + 1.0f;
#if LEARNED
    fill_step_table(table, step, theta[CLOCK]);
#endif
    barrier();
  }

  EACH(i, n) {
    for (int c = 0; c < 3; ++c) {
      store(a.positions + (c * n + i) * batch + b, positions[c * n + i], count);
      store(a.best_positions + (c * n + i) * batch + b, best[c * n + i], count);
    }
    int row = 0;
    for (int part = 0; part < PARTS && !a.only_evaluate; ++part)
      for (int k = 0; k < PART_ROWS(part); ++k, ++row)
        store(a.rows[part] + (k * n + i) * batch + b, state[row * n + i], count);
  }
  if (thread_index() == 0) {
    store(a.energy + b, energy, count);
    store(a.force + b, force, count);
    store(a.best_energy + b, best_energy, count);
    if (!a.only_evaluate) store_whole(a, b, count, whole);
#if HOPPING
    store_chain(a, chain, b, count);
#endif
#if LANES == 1
    a.evaluations[b] += (int)charged;
    a.active[b] = active;
#else
    for (int l = 0; l < count; ++l) {
      a.evaluations[b + l] += (int)charged[l];
      a.active[b + l] = active[l] != 0;
    }
#endif
  }
}
