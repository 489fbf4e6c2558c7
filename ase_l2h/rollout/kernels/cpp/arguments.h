// What a launch is handed by ase_l2h/rollout/kernels/layout.py:
// pointers first, then numbers.

#pragma once

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
  float *positions, *energy, *force, *best_positions, *best_energy;
  float* rows[PARTS];   // state of the rule per atom
  float* whole[PARTS];  // and per structure
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
  const float *length_scale, *energy_scale;  // (batch)
  const float* atom_scales;                  // (2, n, batch) or null
  const float *potential, *theta;
  const float *cell, *images, *feature_cell, *feature_images;
  int n, batch, steps, species_stride, n_images, n_feature_images;
  int only_evaluate;  // 1: one evaluation, without a rule and without a step
  float fmax;
  HopOptions hopping;
};
