// What a rule sees of one structure, in the reduced units of ase_l2h/rules/base.py.

#pragma once

#include "arguments.h"
#include "neighbours.h"

struct Observation {
  int n;
  const Kind* kinds;          // species
  const number* theta;        // the network and its scalars, or the rule's parameters
  const real* table;          // clock of a learned rule, see fill_step_table
  const real* positions;      // (3, n), in the units of the potential
  const real* gradient;       // (3, n), reduced and clipped
  const real* energies;       // (n), in the units of the potential
  const number* atom_scales;  // (2, n, batch) at this structure, or null
  int batch, count;           // stride of atom_scales, and lanes in use
  real length, energy_scale;
  real energy;                // of the structure, reduced
  real centre[3];             // reduced; zero where it means nothing
  Lattice surroundings;       // images of the radial features, reduced
};
