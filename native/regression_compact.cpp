// The pass over rows of which most numbers are at rest, and the making of such rows; compiled once a target.
#include "regression_compact.hpp"

#include "regression_block.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {
namespace {

constexpr int64_t part_rows = 48;  // rows whose logits are turned into residuals together
constexpr int64_t adding_numbers = 2048;  // of a lane, that one thread adds up at a time
constexpr int64_t small_pass = 50000;  // entries that one thread has gone through before another wakes

// How many entries a row has, without what fills a unit.
int64_t numbers_of(const CompactEntries& entries, int64_t row) {
  const int64_t start = entries.row_starts[row];
  int64_t count = entries.row_starts[row + 1] - start;
  while (count > 0 && entries.values[start + count - 1] == 0.0f) --count;
  return count;
}

int64_t chunks_of(int64_t n_rows) { return (n_rows + compact_chunk_rows - 1) / compact_chunk_rows; }

// Calls body(first row, end) for each chunk.
template <class Body>
void for_each_chunk(int64_t n_rows, int threads, const Body& body) {
  parallel(chunks_of(n_rows), threads, [&](int64_t chunk) {
    body(chunk * compact_chunk_rows, least((chunk + 1) * compact_chunk_rows, n_rows));
  });
}

// One for the columns that are kept, zero for those that are left out.
struct MakingScratch {
  double* used;
  double* kept;    // of the row: one where it is not at rest
  double* scaled;  // of the row
  uint16_t* columns;
  float* values;
};

MakingScratch making_scratch(int64_t D, Pieces& pieces) {
  const int64_t padded = rounded_up(D, 8);
  return {pieces.take<double>(padded), pieces.take<double>(padded), pieces.take<double>(padded),
          pieces.take<uint16_t>(D + compact_unit), pieces.take<float>(D + compact_unit)};
}

SOFTCLASS_INLINE Doubles load_as_doubles(const double* x) { return load(x); }
SOFTCLASS_INLINE Doubles load_as_doubles(const float* x) {
  double wide[Doubles::lanes];
  for (int i = 0; i < Doubles::lanes; ++i) wide[i] = double(x[i]);
  return load(wide);
}

// Returns how many numbers of a row are not at rest; says which, and what they are then.
template <class Real, bool is_made>
int64_t find_entries(const Real* x, const CompactMaking& call, const MakingScratch& t) {
  constexpr int L = Doubles::lanes;
  const int64_t D = call.n_features, whole = D / L * L;
  const Doubles zero = broadcast(0.0);
  Doubles sum = zero;
  for (int64_t d = 0; d < whole; d += L) {
    const Doubles value = load_as_doubles(x + d), rest = load(call.rest + d);
    const Doubles kept = select(equal(value, rest), zero, load(t.used + d));
    sum = sum + kept;
    if (!is_made) continue;
    store(t.kept + d, kept);
    store(t.scaled + d, (value - rest) * load(call.factor + d));
  }
  double each[L], count = 0.0;
  store(each, sum);
  for (int i = 0; i < L; ++i) count += each[i];
  for (int64_t d = whole; d < D; ++d) {
    const double kept = double(x[d]) == call.rest[d] ? 0.0 : t.used[d];
    count += kept;
    if (!is_made) continue;
    t.kept[d] = kept;
    t.scaled[d] = (double(x[d]) - call.rest[d]) * call.factor[d];
  }
  return int64_t(count);
}

// Every number is written and the place moves on behind those that are kept: nothing to foretell.
template <class Real>
void make_row(const CompactMaking& call, int64_t row, const MakingScratch& t) {
  const int64_t D = call.n_features;
  const Real* const x = static_cast<const Real*>(call.features) + row * D;
  if (!call.columns) {
    call.counts[row] = rounded_up(find_entries<Real, false>(x, call, t), compact_unit);
    return;
  }
  find_entries<Real, true>(x, call, t);
  const double *const kept = t.kept, *const scaled = t.scaled;
  uint16_t* const columns = t.columns;
  float* const values = t.values;
  int64_t count = 0;
  for (int64_t d = 0; d < D; ++d) {
    columns[count] = uint16_t(d);
    values[count] = float(scaled[d]);
    count += int64_t(kept[d]);
  }
  const int64_t start = call.row_starts[row], room = call.row_starts[row + 1] - start;
  for (int64_t q = count; q < room; ++q) {
    columns[q] = 0;
    values[q] = 0.0f;
  }
  memcpy(call.columns + start, columns, size_t(room) * sizeof(uint16_t));
  memcpy(call.values + start, values, size_t(room) * sizeof(float));
}

// Fresh memory comes in pages of up to 2 MB, and two threads that reach one at the same time make it twice: so each
// page is first written to by one of them.
void touch(char* memory, int64_t bytes, int threads) {
  constexpr int64_t page = int64_t(2) << 20;
  const int64_t before = (page - int64_t(reinterpret_cast<uintptr_t>(memory) % uintptr_t(page))) % page;
  if (bytes <= before) return;
  parallel((bytes - before + page - 1) / page, threads, [&](int64_t i) { memory[before + i * page] = 0; });
}

bool make(const CompactMaking& call) {
  const int64_t D = call.n_features;
  if (call.columns) {
    const int64_t size = call.row_starts[call.n_rows];
    touch(reinterpret_cast<char*>(call.columns), size * int64_t(sizeof(uint16_t)), call.threads);
    touch(reinterpret_cast<char*>(call.values), size * int64_t(sizeof(float)), call.threads);
  }
  volatile bool is_well = true;
  for_each_chunk(call.n_rows, call.threads, [&](int64_t begin, int64_t end) {
    Pieces sizing(nullptr);
    making_scratch(D, sizing);
    void* const own = scratch(0, sizing.bytes());
    if (!own) {
      is_well = false;
      return;
    }
    Pieces pieces(own);
    const MakingScratch t = making_scratch(D, pieces);
    for (int64_t d = 0; d < D; ++d) t.used[d] = call.factor[d] != 0.0 ? 1.0 : 0.0;
    for (int64_t row = begin; row < end; ++row)
      call.is_double ? make_row<double>(call, row, t) : make_row<float>(call, row, t);
  });
  return is_well;
}

void take(const CompactTaking& call) {
  const CompactEntries& from = call.entries;
  const int threads = call.row_starts[call.count] < small_pass ? 1 : call.threads;
  for_each_chunk(call.count, threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t start = from.row_starts[call.rows[i]], to = call.row_starts[i];
      const size_t count = size_t(call.row_starts[i + 1] - to);
      memcpy(call.columns + to, from.columns + start, count * sizeof(uint16_t));
      memcpy(call.values + to, from.values + start, count * sizeof(float));
    }
  });
}

void expand(const CompactExpansion& call) {
  const CompactEntries& from = call.entries;
  const int64_t D = call.n_features;
  for_each_chunk(call.count, call.threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* const out = call.out + i * D;
      memcpy(out, call.base, size_t(D) * sizeof(float));
      const int64_t last = from.row_starts[call.rows[i] + 1];
      for (int64_t q = from.row_starts[call.rows[i]]; q < last; ++q) out[from.columns[q]] += from.values[q];
    }
  });
}

void lengths(const CompactLengths& call) {
  double at_rest = 0.0;
  for (int64_t d = 0; d < call.n_features; ++d) at_rest += call.shift[d] * call.shift[d];
  const CompactEntries& rows = call.entries;
  for_each_chunk(call.n_rows, call.threads, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      double sums[compact_unit] = {};
      const int64_t last = rows.row_starts[row + 1];
      for (int64_t q = rows.row_starts[row]; q < last; q += compact_unit)
        for (int64_t u = 0; u < compact_unit; ++u) {
          const double value = double(rows.values[q + u]);
          sums[u] += value * (value - 2.0 * call.shift[rows.columns[q + u]]);
        }
      const double length = at_rest + ((sums[0] + sums[1]) + (sums[2] + sums[3]));
      call.lengths[row] = length > 0.0 ? length : 0.0;
    }
  });
}

// Weights a feature after the other, zeros behind the last class.
template <class Real>
void spread(const double* weight, int64_t R, int64_t D, int64_t step, Real* out) {
  for (int64_t d = 0; d < D; ++d) {
    for (int64_t k = 0; k < R; ++k) out[d * step + k] = Real(weight[k * D + d]);
    for (int64_t k = R; k < step; ++k) out[d * step + k] = Real(0);
  }
}

// Adds sums that are set to zero to those of a lane.
SOFTCLASS_INLINE void move_sums(float* from, int64_t count, double* lane) {
  for (int64_t i = 0; i < count; i += Floats::lanes) {
    const Floats sum = load(from + i);
    store(from + i, broadcast(0.0f));
    store(lane + i, load(lane + i) + low_half(sum));
    store(lane + i + Doubles::lanes, load(lane + i + Doubles::lanes) + high_half(sum));
  }
}
SOFTCLASS_INLINE void move_sums(double* from, int64_t count, double* lane) {
  for (int64_t i = 0; i < count; i += Doubles::lanes) {
    store(lane + i, load(lane + i) + load(from + i));
    store(from + i, broadcast(0.0));
  }
}

template <class Real>
struct CompactScratch {
  Real* by_row;     // logits: part_rows x step
  Real* residuals;  // compact_chunk_rows x step
  Real* sums;       // D x step
  BlockScratch<Real> block;
};

template <class Real>
CompactScratch<Real> compact_scratch(int64_t D, int64_t step, bool has_tangents, Pieces& pieces) {
  CompactScratch<Real> t;
  t.by_row = pieces.take<Real>(part_rows * step);
  t.residuals = pieces.take<Real>(compact_chunk_rows * step);
  t.sums = pieces.take<Real>(D * step);
  t.block = {};
  t.block.by_class = pieces.take<Real>(part_rows * step);
  t.block.tangents = has_tangents ? pieces.take<Real>(part_rows * step) : nullptr;
  t.block.maximum = pieces.take<Real>(part_rows);
  t.block.rest = pieces.take<Real>(part_rows);
  t.block.picked = pieces.take<Real>(part_rows);
  return t;
}

template <class Real, int64_t step>
class CompactChunk {
  using V = Vector<Real>;
  static constexpr int vectors = int(step) / V::lanes, chains = int(64 / step);

 public:
  CompactChunk(const CompactPass& call, const Real* weight, const Real* tangent, const Real* bias,
               const Real* bias_tangent, const CompactScratch<Real>& scratch)
      : call_(call), weight_(weight), tangent_(tangent), bias_(bias), bias_tangent_(bias_tangent), t_(scratch) {}

  void run(int64_t begin, int64_t end, double* lane) {
    const int64_t D = call_.n_features;
    double* const by_bias = lane ? lane + D * step : nullptr;
    for (int64_t first = begin; first < end; first += part_rows)
      make_residuals(first, least(part_rows, end - first), t_.residuals + (first - begin) * step, by_bias);
    if (call_.curvature || call_.chances) return;
    for (int64_t row = begin; row < end; ++row) add_row(row, t_.residuals + (row - begin) * step);
    move_sums(t_.sums, D * step, lane);
  }

 private:
  void make_logits(int64_t first, int64_t count, const Real* weight, Real* by_class) const {
    for (int64_t r = 0; r < count; ++r) make_logits_of(first + r, weight, t_.by_row + r * step);
    fill(t_.by_row + count * step, (part_rows - count) * step, Real(0));
    for (int64_t i = 0; i < part_rows; i += V::lanes)
      transpose_rows(t_.by_row + i * step, step, step, by_class + i, part_rows);
  }

  void make_logits_of(int64_t row, const Real* weight, Real* out) const {
    V sums[chains][vectors];
    SOFTCLASS_UNROLL
    for (int c = 0; c < chains; ++c)
      SOFTCLASS_UNROLL
      for (int v = 0; v < vectors; ++v) sums[c][v] = broadcast_as(V{}, Real(0));
    const CompactEntries& rows = call_.entries;
    const int64_t end = rows.row_starts[row + 1];
    for (int64_t q = rows.row_starts[row]; q < end; q += compact_unit) {
      SOFTCLASS_UNROLL
      for (int u = 0; u < int(compact_unit); ++u) {
        const Real* const w = weight + int64_t(rows.columns[q + u]) * step;
        const V x = broadcast_as(V{}, Real(rows.values[q + u]));
        SOFTCLASS_UNROLL
        for (int v = 0; v < vectors; ++v)
          sums[u % chains][v] = fma(x, load(w + v * V::lanes), sums[u % chains][v]);
      }
    }
    SOFTCLASS_UNROLL
    for (int v = 0; v < vectors; ++v) {
      const V sum = chains == 4 ? (sums[0][v] + sums[1][v]) + (sums[2 % chains][v] + sums[3 % chains][v])
                                     : sums[0][v] + sums[1][v];
      store(out + v * V::lanes, sum);
    }
  }

  void make_residuals(int64_t first, int64_t count, Real* out, double* by_bias) {
    using Block = RegressionBlock<Real>;
    constexpr int64_t width = panel_width<Real>;
    const int64_t R = call_.n_outputs;
    const BlockSizes<Real> sizes{0, R, part_rows};
    const BlockRows<Real> rows{nullptr, count, call_.targets + first,
                                call_.row_weights ? call_.row_weights + first : nullptr, 0};
    make_logits(first, count, weight_, t_.block.by_class);
    if (tangent_) make_logits(first, count, tangent_, t_.block.tangents);
    Block block(sizes, t_.block, rows);
    double margin = infinity<double>;
    for (int64_t i = 0; i < part_rows; i += width) {
      const int64_t columns = least(width, part_rows - i);
      if (call_.with_margin)
        block.template exponentiate<true>(i, columns, bias_, margin);
      else
        block.template exponentiate<false>(i, columns, bias_, margin);
      if (call_.curvature)
        block.curvature_of_classes(i, columns, call_.curvature + first);
      else if (call_.chances)
        block.make_probabilities(i, columns);
      else if (tangent_)
        block.make_products(i, columns, bias_tangent_);
      else
        block.make_residuals(i, columns);
    }
    if (call_.curvature) return;
    if (call_.chances) {
      for (int64_t k = 0; k < R; ++k)
        for (int64_t r = 0; r < count; ++r)
          call_.chances[k * call_.n_rows + first + r] = float(t_.block.by_class[k * part_rows + r]);
      return;
    }
    for (int64_t k = 0; k < R; ++k) by_bias[k] += sum_over_rows(t_.block.by_class + k * part_rows, part_rows);
    if (!tangent_) by_bias[step] += block.sum_losses();
    if (margin < by_bias[step + 1]) by_bias[step + 1] = margin;
    for (int64_t k = 0; k < step; k += V::lanes)
      transpose_rows(t_.block.by_class + k * part_rows, part_rows, part_rows, out + k, step);
  }

  void add_row(int64_t row, const Real* residuals) const {
    // Pointers of its own: what it stores could be any float that another pointer reads.
    const CompactEntries& rows = call_.entries;
    const uint16_t* columns = rows.columns + rows.row_starts[row];
    const uint16_t* const end = rows.columns + rows.row_starts[row + 1];
    const float* values = rows.values + rows.row_starts[row];
    Real* const all = t_.sums;
    V residual[vectors];
    SOFTCLASS_UNROLL
    for (int v = 0; v < vectors; ++v) residual[v] = load(residuals + v * V::lanes);
    for (; columns < end; columns += compact_unit, values += compact_unit) {
      SOFTCLASS_UNROLL
      for (int u = 0; u < int(compact_unit); ++u) {
        Real* const sums = all + int64_t(columns[u]) * step;
        const V x = broadcast_as(V{}, Real(values[u]));
        SOFTCLASS_UNROLL
        for (int v = 0; v < vectors; ++v)
          store(sums + v * V::lanes, fma(x, residual[v], load(sums + v * V::lanes)));
      }
    }
  }

  const CompactPass& call_;
  const Real* weight_;
  const Real* tangent_;
  const Real* bias_;
  const Real* bias_tangent_;
  const CompactScratch<Real>& t_;
};

void begin_lane(double* lane, int64_t count) {
  fill(lane, count - 1, 0.0);
  lane[count - 1] = infinity<double>;
}

// Sums of lanes, the first ones of `length` numbers, in order; of the last number the smallest.
void add_lanes(const double* lanes, int64_t n_lanes, int64_t length, int64_t count, double* sums, int threads) {
  if (n_lanes == 0) return begin_lane(sums, count);
  parallel((count + adding_numbers - 1) / adding_numbers, threads, [&](int64_t task) {
    const int64_t begin = task * adding_numbers, size = least(adding_numbers, count - begin);
    double* const out = sums + begin;
    memcpy(out, lanes + begin, size_t(size) * sizeof(double));
    for (int64_t l = 1; l < n_lanes; ++l) {
      const double* const lane = lanes + l * length + begin;
      for (int64_t i = 0; i < size; ++i) out[i] += lane[i];
    }
  });
  double margin = infinity<double>;
  for (int64_t l = 0; l < n_lanes; ++l)
    if (lanes[l * length + count - 1] < margin) margin = lanes[l * length + count - 1];
  sums[count - 1] = margin;
}

template <class Real, int64_t step>
bool run_pass(const CompactPass& call) {
  const int64_t D = call.n_features, R = call.n_outputs;
  const bool has_tangent = call.weight_tangent;
  const int64_t n_chunks = chunks_of(call.n_rows);
  const int64_t n_lanes = call.sums ? compact_lanes(D, R) : n_chunks, length = rounded_up(compact_numbers(D, R), 8);
  Pieces count(nullptr);
  if (call.sums) count.take<double>(n_lanes * length);
  for (int i = 0; i < 1 + has_tangent; ++i) {
    count.take<Real>(D * step);
    count.take<Real>(step);
  }
  void* const memory = scratch(1, count.bytes());
  if (!memory) return false;
  Pieces pieces(memory);
  double* const lanes = call.sums ? pieces.take<double>(n_lanes * length) : nullptr;
  const auto spread_out = [&](const double* from, const double* from_bias, Real*& weight, Real*& bias) {
    weight = pieces.take<Real>(D * step);
    bias = pieces.take<Real>(step);
    spread(from, R, D, step, weight);
    for (int64_t k = 0; k < R; ++k) bias[k] = Real(from_bias[k]);
  };
  Real *weight, *bias, *tangent = nullptr, *bias_tangent = nullptr;
  spread_out(call.weight, call.bias, weight, bias);
  if (has_tangent) spread_out(call.weight_tangent, call.bias_tangent, tangent, bias_tangent);
  const int64_t wanted = call.threads > 0 ? call.threads : thread_count();
  const bool is_small = call.entries.row_starts[call.n_rows] < small_pass;
  // A lane a task where there are threads: one that is held up keeps no half of the rows waiting.
  const int64_t n_tasks = is_small || wanted == 1 ? 1 : least(n_chunks, n_lanes);
  volatile bool is_well = true;
  parallel(n_tasks, int(wanted), [&](int64_t task) {
    Pieces sizing(nullptr);
    compact_scratch<Real>(D, step, has_tangent, sizing);
    void* const own = scratch(0, sizing.bytes());
    if (!own) {
      is_well = false;
      return;
    }
    Pieces own_pieces(own);
    const CompactScratch<Real> t = compact_scratch<Real>(D, step, has_tangent, own_pieces);
    fill(t.sums, D * step, Real(0));
    CompactChunk<Real, step> chunk(call, weight, tangent, bias, bias_tangent, t);
    for (int64_t l = task; l < n_lanes; l += n_tasks) {
      double* const lane = lanes ? lanes + l * length : nullptr;
      if (lane) begin_lane(lane, compact_numbers(D, R));
      for (int64_t c = l; c < n_chunks; c += n_lanes)
        chunk.run(c * compact_chunk_rows, least((c + 1) * compact_chunk_rows, call.n_rows), lane);
    }
  });
  if (is_well && call.sums)
    add_lanes(lanes, least(n_chunks, n_lanes), length, compact_numbers(D, R), call.sums, is_small ? 1 : int(wanted));
  return is_well;
}

bool pass(const CompactPass& call) {
  const bool is_narrow = compact_step(call.n_outputs) == 16;
  if (call.is_wide) return is_narrow ? run_pass<double, 16>(call) : run_pass<double, 32>(call);
  return is_narrow ? run_pass<float, 16>(call) : run_pass<float, 32>(call);
}

constexpr int64_t block_chances = 262144;  // of a block of rows, about: a megabyte of floats

// The products of a row's entries with those behind them, and with the one of the bias, times a number.
SOFTCLASS_INLINE void add_products(const uint16_t* columns, const float* values, int64_t count, int64_t C, double factor,
                                   double* sums) {
  for (int64_t a = 0; a < count; ++a) {
    const int64_t i = columns[a];
    double* const row = sums + i * C - i * (i + 1) / 2;  // of column j at j
    const double first = factor * double(values[a]);
    for (int64_t b = a; b < count; ++b) row[columns[b]] += first * double(values[b]);
    row[C - 1] += first;
  }
  sums[C * (C + 1) / 2 - 1] += factor;
}

// All rows of a block for one pair of classes.
void add_pair(const CompactHessian& call, const CompactPass& block, int64_t k, int64_t l, double* sums) {
  const float *const one = block.chances + k * block.n_rows, *const two = block.chances + l * block.n_rows;
  const int64_t C = block.n_features + 1;
  for (int64_t row = 0; row < block.n_rows; ++row) {
    const double both = double(one[row]) * double(two[row]);
    const double share = block.row_weights ? block.row_weights[row] * both : both;
    if (!(share > call.least)) continue;
    const int64_t start = block.entries.row_starts[row];
    add_products(block.entries.columns + start, block.entries.values + start, numbers_of(block.entries, row), C, share,
                 sums);
  }
}

// Sums of products of entries to those of scaled numbers, which are entries less `shift`: what row_of(i) has from column
// i on.
template <class RowOf>
void centre(const double* shift, int64_t C, const RowOf& row_of) {
  const int64_t D = C - 1;
  const double total = row_of(D)[D];
  for (int64_t i = 0; i < D; ++i) {
    double* const row = row_of(i);
    const double mine = row[D], less = mine - shift[i] * total;
    for (int64_t j = i; j < D; ++j) row[j] -= shift[i] * row_of(j)[D] + shift[j] * less;
    row[D] = less;
  }
}

bool hessian(const CompactHessian& call) {
  const int64_t R = call.pass.n_outputs, C = call.pass.n_features + 1, N = call.pass.n_rows;
  const int64_t n_pairs = hessian_pairs(R), length = hessian_length(R, C);
  const int64_t most_rows = block_chances / R / compact_chunk_rows * compact_chunk_rows;
  float* const chances = static_cast<float*>(scratch(2, R * least(most_rows, N) * int64_t(sizeof(float))));
  if (!chances) return false;
  const auto for_pairs = [&](const auto& body) {
    parallel(n_pairs, call.pass.threads, [&](int64_t pair) {
      int64_t k = 0, first = 0;
      while (pair >= first + R - 1 - k) first += R - 1 - k++;
      body(k, k + 1 + pair - first, call.sums + pair * length);
    });
  };
  for (int64_t i = 0; i < n_pairs * length; ++i) call.sums[i] = 0.0;
  for (int64_t first = 0; first < N; first += most_rows) {
    CompactPass block = call.pass;
    block.n_rows = least(most_rows, N - first);
    block.entries.row_starts += first;
    block.targets += first;
    if (block.row_weights) block.row_weights += first;
    block.chances = chances;
    if (!pass(block)) return false;
    for_pairs([&](int64_t k, int64_t l, double* sums) { add_pair(call, block, k, l, sums); });
  }
  for_pairs([&](int64_t, int64_t, double* sums) {
    centre(call.shift, C, [&](int64_t i) { return sums + i * C - i * (i + 1) / 2; });
  });
  return true;
}

template <int64_t step>
void add_row_grams(const CompactGrams& call, int64_t row, const float* shares, float* sums) {
  constexpr int vectors = int(step) / Floats::lanes;
  const int64_t C = call.n_features + 1, start = call.entries.row_starts[row], count = numbers_of(call.entries, row);
  const uint16_t* const columns = call.entries.columns + start;
  const float* const values = call.entries.values + start;
  const auto add = [](float* to, const Floats* by, float x) {
    const Floats wide = broadcast(x);
    SOFTCLASS_UNROLL
    for (int v = 0; v < vectors; ++v)
      store(to + v * Floats::lanes, fma(wide, by[v], load(to + v * Floats::lanes)));
  };
  Floats share[vectors], first[vectors];
  SOFTCLASS_UNROLL
  for (int v = 0; v < vectors; ++v) share[v] = load(shares + v * Floats::lanes);
  for (int64_t a = 0; a < count; ++a) {
    const int64_t i = columns[a];
    float* const to = sums + (i * C - i * (i + 1) / 2) * step;  // of column j at j
    SOFTCLASS_UNROLL
    for (int v = 0; v < vectors; ++v) first[v] = broadcast(values[a]) * share[v];
    for (int64_t b = a; b < count; ++b) add(to + int64_t(columns[b]) * step, first, values[b]);
    add(to + (C - 1) * step, first, 1.0f);
  }
  add(sums + (compact_gram(call.n_features) - 1) * step, share, 1.0f);
}

template <int64_t step>
bool run_grams(const CompactGrams& call) {
  const int64_t R = call.n_outputs, N = call.n_rows, length = compact_gram(call.n_features);
  const int64_t n_chunks = chunks_of(N);
  const int64_t n_lanes = least(n_chunks, compact_gram_lanes);
  Pieces count(nullptr);
  count.take<float>(compact_gram_lanes * length * step);
  void* const memory = scratch(1, count.bytes());
  if (!memory) return false;
  float* const lanes = Pieces(memory).take<float>(compact_gram_lanes * length * step);
  parallel(n_lanes, call.threads, [&](int64_t lane) {
    float* const sums = lanes + lane * length * step;
    fill(sums, length * step, 0.0f);
    alignas(64) float shares[step] = {};
    for (int64_t c = lane; c < n_chunks; c += n_lanes)
      for (int64_t row = c * compact_chunk_rows; row < least((c + 1) * compact_chunk_rows, N); ++row) {
        for (int64_t k = 0; k < R; ++k) shares[k] = call.shares[k * N + row];
        add_row_grams<step>(call, row, shares, sums);
      }
  });
  parallel(R, call.threads, [&](int64_t k) {
    const int64_t C = call.n_features + 1;
    double* const out = call.sums + k * C * C;
    const float* next = lanes + k;
    for (int64_t i = 0; i < C; ++i)
      for (int64_t j = i; j < C; ++j, next += step) {
        double sum = 0.0;
        for (int64_t lane = 0; lane < n_lanes; ++lane) sum += double(next[lane * length * step]);
        out[i * C + j] = sum;
      }
    centre(call.shift, C, [&](int64_t i) { return out + i * C; });
    for (int64_t i = 0; i < C; ++i)
      for (int64_t j = 0; j < i; ++j) out[i * C + j] = out[j * C + i];
  });
  return true;
}

bool grams(const CompactGrams& call) {
  return compact_step(call.n_outputs) == 16 ? run_grams<16>(call) : run_grams<32>(call);
}

}  // namespace

extern const CompactKernels compact_kernels;
const CompactKernels compact_kernels = {make, take, expand, lengths, pass, hessian, grams};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
