// What sites.py does with clusters, to the bit: the same operations in the same order,
// in the same precision (compiled without fused operations). What differs is only how
// soon a place is found taken, and that nothing is kept but what may be a site.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <new>
#include <vector>

namespace {

constexpr float REACH = 1.6f, BOND = 1.25f;
constexpr float BOND_SQUARED = 1.5625f, WIDE = 2.25f, TAKEN_SQUARED = 0.5625f;
constexpr float ALIKE_SQUARED = static_cast<float>(0.35 * 0.35);
constexpr double TAKEN = 0.75, STAY = 0.5;
constexpr int RECORDS = 5;

// A site in bond lengths, who carries it, and what is around it.
struct Record {
  double site[3];
  int carriers[3];
  int taken, around;
  double strain;
};

// A record that is open to one mover, with what it is sorted by.
struct Candidate {
  const Record* record;
  int around;
  double mean_strain;
};

// Ways from one atom to some others, x, y and z apart for the vector units.
struct View {
  std::vector<float> x, y, z;
  int count = 0;

  explicit View(int n) : x(n), y(n), z(n) {}

  void add(const float* way) {
    x[count] = way[0];
    y[count] = way[1];
    z[count++] = way[2];
  }

  float squared(int a, const float* apex) const {
    const float dx = x[a] - apex[0];
    const float dy = y[a] - apex[1];
    const float dz = z[a] - apex[2];
    return dx * dx + dy * dy + dz * dz;
  }

  // Without an early end: that takes longer.
  bool takes(const float* apex) const {
    int taken = 0;
    for (int a = 0; a < count; ++a) taken |= squared(a, apex) < TAKEN_SQUARED;
    return taken;
  }
};

struct Structure {
  int n;
  // Of one component of all structures.
  size_t stride;
  const double* points;
  std::vector<float> small, distance, squares;
  std::vector<uint8_t> moves;
  std::vector<int> loose, near;
  std::vector<Record> above, below;
  View solid, whole;

  Structure(int n, size_t stride)
      : n(n),
        stride(stride),
        small(3 * n),
        distance(size_t(n) * n),
        squares(n),
        moves(n),
        solid(n),
        whole(n) {}

  void way(int i, int j, float* to) const {
    for (int k = 0; k < 3; ++k) to[k] = small[k * n + j] - small[k * n + i];
  }

  void place(const double* own) {
    points = own;
    for (int k = 0; k < 3; ++k) {
      const double* p = points + k * stride;
      const auto [low, high] = std::minmax_element(p, p + n);
      const double middle = (*low + *high) / 2;
      for (int i = 0; i < n; ++i) small[k * n + i] = static_cast<float>(p[i] - middle);
    }
    for (int i = 0; i < n; ++i) {
      float* row = &distance[size_t(i) * n];
      for (int j = 0; j < n; ++j) {
        const float x = small[j] - small[i];
        const float y = small[n + j] - small[n + i];
        const float z = small[2 * n + j] - small[2 * n + i];
        row[j] = std::sqrt(x * x + y * y + z * z);
      }
      row[i] = std::numeric_limits<float>::infinity();
    }
    std::fill(moves.begin(), moves.end(), 0);
  }

  // The atoms with the fewest neighbours, then the lowest `tie`.
  void loosen(const double* tie, const uint8_t* mobile, int count) {
    std::vector<int> bonded(n);
    loose.resize(n);
    for (int i = 0; i < n; ++i) {
      const float* row = &distance[size_t(i) * n];
      int bonds = 0;
      for (int j = 0; j < n; ++j) bonds += row[j] < BOND;
      bonded[i] = mobile[i] ? bonds : n;
      loose[i] = i;
    }
    const auto looser = [&](int a, int b) {
      if (bonded[a] != bonded[b]) return bonded[a] < bonded[b];
      return tie[a] != tie[b] ? tie[a] < tie[b] : a < b;
    };
    std::partial_sort(loose.begin(), loose.begin() + count, loose.end(), looser);
    loose.resize(count);
    for (int atom : loose) moves[atom] = 1;
  }

  void look_from(int i) {
    solid.count = whole.count = 0;
    const float* row = &distance[size_t(i) * n];
    float to[3];
    for (int a = 0; a < n; ++a) {
      if (!(row[a] < WIDE)) continue;
      way(i, a, to);
      whole.add(to);
      if (!moves[a]) solid.add(to);
    }
  }

  // Keep the place at `apex` from atom i, unless an atom that stays takes it.
  void note(std::vector<Record>& records, const float* apex, int i, int j, int k) {
    if (solid.takes(apex)) return;
    Record record{{}, {i, j, k}, 0, 1, 0.0};
    for (int c = 0; c < 3; ++c) record.site[c] = apex[c] + points[c * stride + i];
    for (int a = 0; a < whole.count; ++a) squares[a] = whole.squared(a, apex);
    for (int a = 0; a < whole.count; ++a) {
      record.taken += squares[a] < TAKEN_SQUARED;
      if (squares[a] < BOND_SQUARED) {
        record.around += 1;
        record.strain += std::fabs(std::sqrt(squares[a]) - 1.0f);
      }
    }
    records.push_back(record);
  }

  // The places at the distance of a bond from atoms i, j and k.
  void note_both(int i, int j, int k) {
    float u[3], v[3], above_apex[3], below_apex[3];
    way(i, j, u);
    way(i, k, v);
    const float u_length = distance[size_t(i) * n + j];
    const float v_length = distance[size_t(i) * n + k];
    const float u2 = u_length * u_length, v2 = v_length * v_length;
    const float uv = u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
    const float square = u2 * v2 - uv * uv;
    if (!(square > 1e-4f)) return;
    const float along_u = v2 * (u2 - uv) / (2 * square);
    const float along_v = u2 * (v2 - uv) / (2 * square);
    const float height2 = 1 - (along_u * u2 + along_v * v2) / 2;
    if (!(height2 > 0)) return;
    const float rise = std::sqrt(height2 / square);
    for (int c = 0; c < 3; ++c) {
      const int d = (c + 1) % 3, e = (c + 2) % 3;
      const float up = (u[d] * v[e] - u[e] * v[d]) * rise;
      const float foot = along_u * u[c] + along_v * v[c];
      above_apex[c] = foot + up;
      below_apex[c] = foot - up;
    }
    note(above, above_apex, i, j, k);
    note(below, below_apex, i, j, k);
  }

  void collect() {
    above.clear();
    below.clear();
    for (int i = 0; i < n; ++i) {
      look_from(i);
      const float* first = &distance[size_t(i) * n];
      near.clear();
      for (int j = i + 1; j < n; ++j)
        if (first[j] < REACH) near.push_back(j);
      for (auto j = near.begin(); j != near.end(); ++j) {
        const float* second = &distance[size_t(*j) * n];
        for (auto k = j + 1; k != near.end(); ++k)
          if (second[*k] < REACH) note_both(i, *j, *k);
      }
    }
  }

  template <class Function>
  void each_record(Function function) const {
    for (const Record& record : above) function(record);
    for (const Record& record : below) function(record);
  }

  // Records that are open when atom `mover` has left its place.
  void open_to(int mover, std::vector<Candidate>& found) const {
    each_record([&](const Record& r) {
      if (r.carriers[0] == mover || r.carriers[1] == mover || r.carriers[2] == mover)
        return;
      const double x = points[mover] - r.site[0];
      const double y = points[stride + mover] - r.site[1];
      const double z = points[2 * stride + mover] - r.site[2];
      const double far = std::sqrt(x * x + y * y + z * z);
      if (r.taken != (far < TAKEN) || !(far > STAY)) return;
      const bool touching = far < 1.25;
      const double strain = touching ? r.strain - std::fabs(far - 1) : r.strain;
      add(found, r, r.around - touching, strain);
    });
  }

  void open(std::vector<Candidate>& found) const {
    each_record([&](const Record& r) {
      if (r.taken == 0) add(found, r, r.around, r.strain);
    });
  }

  static void add(std::vector<Candidate>& found, const Record& record, int around,
                  double strain) {
    found.push_back({&record, around, std::rint(strain / around * 1e4) / 1e4});
  }
};

// Where sites go as long as there is room; `count` counts those without, too.
struct Sink {
  double* site;
  int32_t *owner, *number;
  int64_t room, count = 0;
  void put(const Record& record, int of, int what) {
    if (count < room) {
      std::copy_n(record.site, 3, site + 3 * count);
      owner[count] = of;
      number[count] = what;
    }
    ++count;
  }
};

// The best that are unlike each other, at most `limit` of them, -1: all.
template <class Put>
void choose(std::vector<Candidate>& found, int limit, Put put) {
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    if (a.around != b.around) return a.around > b.around;
    return a.mean_strain < b.mean_strain;
  });
  size_t width = found.size();
  if (limit >= 0) width = std::min(width, size_t(RECORDS) * limit);
  std::vector<float> chosen;
  for (size_t c = 0; c < width; ++c) {
    if (limit >= 0 && chosen.size() >= 3 * size_t(limit)) break;
    float at[3];
    for (int k = 0; k < 3; ++k)
      at[k] = static_cast<float>(found[c].record->site[k] - found[0].record->site[k]);
    bool alike = false;
    for (size_t o = 0; o < chosen.size() && !alike; o += 3) {
      const float x = at[0] - chosen[o];
      const float y = at[1] - chosen[o + 1];
      const float z = at[2] - chosen[o + 2];
      alike = !(x * x + y * y + z * z >= ALIKE_SQUARED);
    }
    if (alike) continue;
    chosen.insert(chosen.end(), at, at + 3);
    put(found[c]);
  }
}

}  // namespace

// Sites of structures (3, batch, n) in bond lengths, of each mover or, with movers 0, of
// the structure: (k, 3), owners and movers, or numbers of atoms around. How many there
// are, also where not all had room; -1 where memory is short.
extern "C" int64_t vacant(const double* points, const double* tie,
                          const uint8_t* mobile, int batch, int n, int movers,
                          int limit, double* site, int32_t* owner, int32_t* number,
                          int64_t room) {
  try {
    Sink sink{site, owner, number, room};
    Structure structure(n, size_t(batch) * n);
    std::vector<Candidate> found;
    for (int b = 0; b < batch; ++b) {
      structure.place(points + size_t(n) * b);
      if (movers > 0) structure.loosen(tie + size_t(n) * b, mobile, movers);
      structure.collect();
      if (movers == 0) {
        found.clear();
        structure.open(found);
        choose(found, limit, [&](const Candidate& c) {
          sink.put(*c.record, b, c.around);
        });
      }
      for (int m = 0; m < movers; ++m) {
        const int mover = structure.loose[m];
        found.clear();
        structure.open_to(mover, found);
        choose(found, limit, [&](const Candidate& c) { sink.put(*c.record, b, mover); });
      }
    }
    return sink.count;
  } catch (const std::bad_alloc&) {
    return -1;
  }
}
