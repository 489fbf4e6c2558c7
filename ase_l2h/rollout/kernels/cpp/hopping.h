// Basin hopping: which quenches have ended, and the hops from one minimum to the next.
//
// As in ase_l2h/optimizers/basin_hopping/optimizer.py and state.py. What is looked at in
// every step is kept in lanes; what changes at the end of a quench stays where the
// arguments point to, and is worked on structure by structure.

#pragma once

#include "moves.h"
#include "observation.h"

// FACTOR: adjustment of the kick; WINDOW: quenches between two of them; LOOK: evaluations
// between two looks. As macros from the optimizer's module.

struct Chain {
  real acceptance_bound, lowest;
  real count;  // evaluations of the present quench
  real reached, looked;
  mask pulling;
};

struct Verdict {
  mask settled, ended, returned;
};

FUNCTION Chain load_chain(const Arguments& a, int b, int count) {
  return {load(a.acceptance_bound + b, count), load(a.lowest + b, count),
          load(a.quench_evaluations + b, count), load(a.reached + b, count),
          load(a.looked + b, count), load(a.pulling + b, count) > 0.0f};
}
FUNCTION void store_chain(const Arguments& a, const Chain& chain, int b, int count) {
  const real one = real{} + 1.0f;
  store(a.acceptance_bound + b, chain.acceptance_bound, count);
  store(a.lowest + b, chain.lowest, count);
  store(a.quench_evaluations + b, chain.count, count);
  store(a.reached + b, chain.reached, count);
  store(a.looked + b, chain.looked, count);
  store(a.pulling + b, select(chain.pulling, one, real{}), count);
}

// Adds the pull towards the centroid where a quench still begins with it, and returns
// its energy. `room` is for (3, n), `pooled` for two rows.
FUNCTION real pulled(const HopOptions& o, const Observation& s, Chain& chain, real* gradient,
                     real* room, real* pooled, mask* released) {
  const int n = s.n;
  EACH(i, n) {
    real norm = real{}, square = real{};
    for (int c = 0; c < 3; ++c) {
      real away = s.positions[c * n + i] / s.length - s.centre[c];
      real g = gradient[c * n + i] + (2.0f * o.strength) * away;
      room[c * n + i] = g;
      norm = norm + g * g;
      square = square + away * away;
    }
    pooled[i] = norm;
    pooled[n + i] = square;
  }
  barrier();
  mask strong = square_root(largest_of(pooled, n)) >= o.pull_fmax;
  real energy = o.strength * sum_over(pooled + n, n);
  *released = chain.pulling & opposite(strong);
  chain.pulling = chain.pulling & strong;
  EACH(i, n)
  for (int c = 0; c < 3; ++c)
    gradient[c * n + i] =
        select(chain.pulling, room[c * n + i], gradient[c * n + i]);
  // All threads must have read the sums before the rows are used again.
  barrier();
  return select(chain.pulling, energy, real{});
}

// Energy and force in reduced units.
FUNCTION Verdict judged(const HopOptions& o, const Observation& s, Chain& chain, mask active,
                        real energy, real force) {
  const int n = s.n;
  const mask free = opposite(chain.pulling);
  chain.count = chain.count + select(active, real{} + 1.0f, real{});
  mask spent = chain.count >= o.max_quench;
  // The lowest, not the last: a trial step that rises is taken back.
  chain.reached = select(free, smaller(energy, chain.reached), real{} + infinite());
  Verdict v;
  real enough = select(energy < chain.lowest, real{} + o.fmax_lowest, real{} + o.fmax);
  v.settled = o.fixed_length ? spent : (force < enough) & free;
  v.ended = v.settled | spent | opposite(is_finite(energy));
  if (o.abandon >= 0.0f) {
    mask look = (nearest_whole(chain.count * (1.0f / LOOK)) * LOOK == chain.count) & free;
    real bound = chain.reached - o.abandon * (chain.looked - chain.reached);
    v.ended = v.ended | (look & (bound > chain.acceptance_bound));
    chain.looked = select(look, chain.reached, chain.looked);
  }
  v.returned = active & opposite(active);
  v.ended = v.ended & active;
  mask going = v.settled & v.ended & opposite(spent);
  if (RECENTRED && o.radius < infinite() && any_lane(going)) {
    real farthest = largest_among<real>(n, [&](int i) {
      real x = s.positions[i], y = s.positions[n + i], z = s.positions[2 * n + i];
      return x * x + y * y + z * z;
    });
    real reach = o.radius * s.length;
    v.returned = going & (farthest > reach * reach);
    v.ended = v.ended & opposite(v.returned);
  }
  mask fresh = v.ended | v.returned;
  chain.count = select(v.ended, real{}, chain.count);
  chain.reached = select(fresh, infinite(), chain.reached);
  chain.looked = select(fresh, infinite(), chain.looked);
  return v;
}

// What a stage takes note of, see ase_l2h/optimizers/basin_hopping/restarts.py.
struct Stage {
  bool rejected, begins, remembers;
  float lowest, next_lowest;
  int stalled;
};
FUNCTION bool listed(const Arguments& a, int b, float energy) {
  for (int k = 0; k < a.hopping.known; ++k)
    if (fabsf(energy - a.stage_known[k * a.batch + b]) < a.hopping.same) return true;
  return false;
}
FUNCTION Stage noted(const Arguments& a, int b, float energy, bool found) {
  const HopOptions& o = a.hopping;
  Stage stage = {};
  if (o.stall < 0) return stage;
  const float before = a.stage_lowest[b];
  const bool fell = found && energy < before - o.same;
  stage.lowest = found && energy < before ? energy : before;
  stage.stalled = fell ? 0 : a.stage_stalled[b] + 1;
  const bool avoided = fell && listed(a, b, energy), stuck = stage.stalled > o.stall;
  stage.rejected = stuck || avoided;
  stage.begins = stuck || (avoided && o.reseed);
  stage.remembers = stuck && o.known > 0 && !listed(a, b, stage.lowest);
  const float first = found && !o.reseed ? energy : infinite();
  stage.next_lowest = stage.begins ? first : stage.lowest;
  if (stage.begins) stage.stalled = 0;
  return stage;
}

// What one structure, in lane l, does at the end of a quench; whether it has met the
// target. `points` has room for (3, n) plain numbers, `strength` for (n).
RARELY bool conclude(const Arguments& a, const Observation& s, int b, int l, bool settled,
                     float energy, int evaluations, Chain& chain, real* positions,
                     float* points, float* strength) {
  const HopOptions& o = a.hopping;
  const int n = a.n, batch = a.batch;
  const float length = lane(s.length, l);
  const bool finite = fabsf(energy) < infinite(), found = settled && finite;
  const Stage stage = noted(a, b, energy, found);
  const bool accepted =
      found && energy <= lane(chain.acceptance_bound, l) && !stage.rejected;
  const bool nothing = !(a.current_energy[b] < infinite());
  const bool moved = accepted || (!found && finite && nothing);
  const bool anew = o.reseed && stage.begins;
  float current_energy = accepted ? energy : a.current_energy[b];
  if (anew) current_energy = infinite();
  const int quenches = a.quenches[b] + 1;
  int lately = a.lately_accepted[b] + accepted;
  float size = a.size[b];
  if (o.acceptance >= 0.0f && quenches % WINDOW == 0) {
    size *= (float)lately > o.acceptance * WINDOW ? FACTOR : 1.0f / FACTOR;
    lately = 0;
  }
  const bool lower = found && energy < lane(chain.lowest, l);
  const float target = o.target_energy / lane(s.energy_scale, l) + o.hit;
  const bool hit = found && energy <= target;

  // Numbers depend on the structure's key and the number of the hop alone.
  const Key own = {a.keys[b], a.keys[batch + b]};
  const Key key = child(own, quenches);
  bool compressed = a.compressed[b];
  if (stage.begins) compressed = uniform(child(key, 3), 0) < o.share;

  EACH(i, n) {
    for (int c = 0; c < 3; ++c) {
      float* current = a.current_positions + (c * n + i) * batch + b;
      if (moved) *current = lane(positions[c * n + i], l);
      points[c * n + i] = *current / length;
    }
    if (a.current_atoms) {
      float* atom = a.current_atoms + i * batch + b;
      if (moved) *atom = lane(s.energies[i], l);
      strength[i] = *atom;
    }
  }
  barrier();
  if (anew) {
    random_structure(o, child(key, 1), a.cell, length, points, n);
    EACH(i, n)
    for (int c = 0; c < 3; ++c)
      a.current_positions[(c * n + i) * batch + b] = points[c * n + i] * length;
  } else {
    propose(a, child(key, 0), size, a.species + b * a.species_stride, points, strength);
  }
  if (!hit)
    EACH(i, n)
    for (int c = 0; c < 3; ++c) {
      const int e = c * n + i;
      // Not even the rounding of a unit may move a fixed atom.
      const float kept = a.current_positions[e * batch + b];
      lane(positions[e], l) = is_fixed(a, e) ? kept : points[e] * length;
    }

  const float climb = exponentially(child(key, 2), 0);
  lane(chain.acceptance_bound, l) = current_energy + o.temperature * climb;
  if (lower) lane(chain.lowest, l) = energy;
  if (compressed && o.share >= 0.0f) chain.pulling = chain.pulling | lane_mask(l);
  if (!compressed) chain.pulling = chain.pulling & opposite(lane_mask(l));
  if (thread_index() == 0) {
    a.current_energy[b] = current_energy;
    a.size[b] = size;
    a.compressed[b] = compressed;
    a.quenches[b] = quenches;
    a.accepted[b] += accepted;
    a.abandoned[b] += !found;
    a.lately_accepted[b] = lately;
    if (lower) {
      a.lowest_evaluations[b] = evaluations;
      a.lowest_quenches[b] = quenches;
    }
    if (o.stall >= 0) {
      for (int k = 0; k < o.known && stage.remembers; ++k)
        a.stage_known[k * batch + b] =
            k + 1 < o.known ? a.stage_known[(k + 1) * batch + b] : stage.lowest;
      a.stage_lowest[b] = stage.next_lowest;
      a.stage_stalled[b] = stage.stalled;
      a.stage_begun[b] += stage.begins;
    }
  }
  barrier();
  return hit;
}

// Atoms outside the container are pulled back; the quench goes on.
RARELY void bring_back(const Arguments& a, const Observation& s, int l, real* positions,
                       float* points) {
  const int n = a.n;
  const float length = lane(s.length, l);
  EACH(e, 3 * n) points[e] = lane(positions[e], l) / length;
  barrier();
  contain(points, n, a.hopping.radius);
  EACH(e, 3 * n) lane(positions[e], l) = points[e] * length;
  barrier();
}

// Moves what has ended its quench, and says which have met the target.
FUNCTION mask hop(const Arguments& a, const Observation& s, const Verdict& v, int b,
                  int count, real energy, real charged, Chain& chain, real* positions,
                  float* points, float* strength) {
  mask hit = v.ended & opposite(v.ended);
  for (int l = 0; l < count; ++l) {
    if (in_lane(v.returned, l)) bring_back(a, s, l, positions, points);
    if (!in_lane(v.ended, l)) continue;
    const int evaluations = a.evaluations[b + l] + (int)lane(charged, l);
    if (conclude(a, s, b + l, l, in_lane(v.settled, l), lane(energy, l), evaluations,
                 chain, positions, points, strength))
      hit = hit | lane_mask(l);
  }
  return hit;
}
