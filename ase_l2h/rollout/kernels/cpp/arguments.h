// What a launch is handed by ase_l2h/rollout/kernels/layout.py:
// pointers first, then numbers.

#pragma once

#include "numbers.h"

#define PARTS 4

// Of basin hopping, as in ase_l2h/rollout/kernels/hopping.py; reduced units.
struct HopOptions {
  float temperature;
  float acceptance;  // negative: the size of the kick stays
  float fmax, fmax_lowest, max_quench;
  float abandon;  // negative: never
  float target_energy, hit;
  int fixed_length;
  int kick;            // 0 cube, 1 ball, 2 gaussian
  float surface;       // threshold
  int surface_atoms;   // 0: none move
  float swap;          // negative: never
  float radius;        // of the container; infinite: none
  float packed_radius; // of a ball of so many atoms
  float share;         // of the stages that compress; negative: no compression
  float strength, pull_fmax;
  int stall;  // negative: there are no stages
  float same;
  int reseed, known;
};

struct Arguments {
  number *positions, *energy, *force, *best_positions, *best_energy;
  number* rows[PARTS];   // state of the rule per atom
  number* whole[PARTS];  // and per structure
  int* evaluations;
  unsigned char* active;
  // A HoppingState, null without basin hopping.
  float *current_positions, *current_energy, *current_atoms, *acceptance_bound, *size;
  unsigned char *compressed, *pulling;
  int* quench_evaluations;
  float *reached, *looked;
  int *quenches, *accepted, *abandoned, *lately_accepted;
  float* lowest;
  int *lowest_evaluations, *lowest_quenches;
  float* stage_lowest;
  int* stage_stalled;
  float* stage_known;
  int* stage_begun;
  // Only read.
  const unsigned* keys;    // (2, batch)
  const int* steps_taken;  // (batch), what the clock of a learned rule shows
  const int* species;    // (n) for all, or one after the other: (batch, n)
  const unsigned char* free;  // (3, n), null where all coordinates may move
  const number *length_scale, *energy_scale;  // (batch)
  const number* atom_scales;                  // (2, n, batch) or null
  const number *potential, *theta;
  const number *cell, *images, *feature_cell, *feature_images;
  int n, batch, steps, species_stride, n_images, n_feature_images;
  int only_evaluate;  // 1: one evaluation, without a rule and without a step
  double fmax;
  HopOptions hopping;
};

// Coordinate e of (3, n) stays where it is, exactly.
FUNCTION bool is_fixed(const Arguments& a, int e) {
#if FIXED
  return !a.free[e];
#else
  (void)a;
  (void)e;
  return false;
#endif
}
