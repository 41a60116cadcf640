// The pass over rows of which most numbers are at rest, and the making of such rows; compiled once a target.
#include "regression_compact.hpp"

#include "regression_block.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {
namespace {

constexpr int64_t part_rows = 48;  // rows whose logits are turned into residuals together
constexpr int64_t small_pass = 50000;  // entries that one thread has gone through before another wakes

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

bool make(const CompactMaking& call) {
  const int64_t D = call.n_features, n_tasks = (call.n_rows + compact_chunk_rows - 1) / compact_chunk_rows;
  volatile bool is_well = true;
  parallel(n_tasks, call.threads, [&](int64_t task) {
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
    const int64_t end = least((task + 1) * compact_chunk_rows, call.n_rows);
    for (int64_t row = task * compact_chunk_rows; row < end; ++row)
      call.is_double ? make_row<double>(call, row, t) : make_row<float>(call, row, t);
  });
  return is_well;
}

void expand(const CompactExpansion& call) {
  const int64_t D = call.n_features;
  parallel((call.count + compact_chunk_rows - 1) / compact_chunk_rows, call.threads, [&](int64_t task) {
    const int64_t end = least((task + 1) * compact_chunk_rows, call.count);
    for (int64_t i = task * compact_chunk_rows; i < end; ++i) {
      float* const out = call.out + i * D;
      memcpy(out, call.base, size_t(D) * sizeof(float));
      const int64_t last = call.row_starts[call.rows[i] + 1];
      for (int64_t q = call.row_starts[call.rows[i]]; q < last; ++q) out[call.columns[q]] += call.values[q];
    }
  });
}

// Weights a feature after the other, zeros behind the last class.
void spread(const double* weight, int64_t R, int64_t D, int64_t step, float* out) {
  for (int64_t d = 0; d < D; ++d) {
    for (int64_t k = 0; k < R; ++k) out[d * step + k] = float(weight[k * D + d]);
    for (int64_t k = R; k < step; ++k) out[d * step + k] = 0.0f;
  }
}

struct CompactScratch {
  float* by_row;     // logits: part_rows x step
  float* residuals;  // compact_chunk_rows x step
  float* sums;       // D x step
  BlockScratch<float> block;
};

CompactScratch compact_scratch(int64_t D, int64_t step, bool has_tangents, Pieces& pieces) {
  CompactScratch t;
  t.by_row = pieces.take<float>(part_rows * step);
  t.residuals = pieces.take<float>(compact_chunk_rows * step);
  t.sums = pieces.take<float>(D * step);
  t.block = {};
  t.block.by_class = pieces.take<float>(part_rows * step);
  t.block.tangents = has_tangents ? pieces.take<float>(part_rows * step) : nullptr;
  t.block.maximum = pieces.take<float>(part_rows);
  t.block.rest = pieces.take<float>(part_rows);
  t.block.picked = pieces.take<float>(part_rows);
  return t;
}

template <int64_t step>
class CompactChunk {
  static constexpr int vectors = int(step) / Floats::lanes, chains = int(64 / step);

 public:
  CompactChunk(const CompactPass& call, const float* weight, const float* tangent, const float* bias,
               const float* bias_tangent, const CompactScratch& scratch)
      : call_(call), weight_(weight), tangent_(tangent), bias_(bias), bias_tangent_(bias_tangent), t_(scratch) {}

  void run(int64_t begin, int64_t end, double* lane) {
    const int64_t D = call_.n_features;
    double* const by_bias = lane + D * step;
    for (int64_t first = begin; first < end; first += part_rows)
      make_residuals(first, least(part_rows, end - first), t_.residuals + (first - begin) * step, by_bias);
    if (call_.curvature) return;
    for (int64_t row = begin; row < end; ++row) add_row(row, t_.residuals + (row - begin) * step);
    for (int64_t i = 0; i < D * step; i += Floats::lanes) {
      const Floats sum = load(t_.sums + i);
      store(t_.sums + i, broadcast(0.0f));
      store(lane + i, load(lane + i) + low_half(sum));
      store(lane + i + Doubles::lanes, load(lane + i + Doubles::lanes) + high_half(sum));
    }
  }

 private:
  void make_logits(int64_t first, int64_t count, const float* weight, float* by_class) const {
    for (int64_t r = 0; r < count; ++r) make_logits_of(first + r, weight, t_.by_row + r * step);
    fill(t_.by_row + count * step, (part_rows - count) * step, 0.0f);
    for (int64_t i = 0; i < part_rows; i += Floats::lanes)
      transpose_rows(t_.by_row + i * step, step, step, by_class + i, part_rows);
  }

  void make_logits_of(int64_t row, const float* weight, float* out) const {
    Floats sums[chains][vectors];
    SOFTCLASS_UNROLL
    for (int c = 0; c < chains; ++c)
      SOFTCLASS_UNROLL
      for (int v = 0; v < vectors; ++v) sums[c][v] = broadcast(0.0f);
    const int64_t end = call_.row_starts[row + 1];
    for (int64_t q = call_.row_starts[row]; q < end; q += compact_unit) {
      SOFTCLASS_UNROLL
      for (int u = 0; u < int(compact_unit); ++u) {
        const float* const w = weight + int64_t(call_.columns[q + u]) * step;
        const Floats x = broadcast(call_.values[q + u]);
        SOFTCLASS_UNROLL
        for (int v = 0; v < vectors; ++v)
          sums[u % chains][v] = fma(x, load(w + v * Floats::lanes), sums[u % chains][v]);
      }
    }
    SOFTCLASS_UNROLL
    for (int v = 0; v < vectors; ++v) {
      const Floats sum = chains == 4 ? (sums[0][v] + sums[1][v]) + (sums[2 % chains][v] + sums[3 % chains][v])
                                     : sums[0][v] + sums[1][v];
      store(out + v * Floats::lanes, sum);
    }
  }

  void make_residuals(int64_t first, int64_t count, float* out, double* by_bias) {
    using Block = RegressionBlock<float>;
    constexpr int64_t width = panel_width<float>;
    const int64_t R = call_.n_outputs;
    const BlockSizes<float> sizes{0, R, part_rows};
    const BlockRows<float> rows{nullptr, count, call_.targets + first,
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
      else if (tangent_)
        block.make_products(i, columns, bias_tangent_);
      else
        block.make_residuals(i, columns);
    }
    if (call_.curvature) return;
    for (int64_t k = 0; k < R; ++k) by_bias[k] += sum_over_rows(t_.block.by_class + k * part_rows, part_rows);
    if (!tangent_) by_bias[step] += block.sum_losses();
    if (margin < by_bias[step + 1]) by_bias[step + 1] = margin;
    for (int64_t k = 0; k < step; k += Floats::lanes)
      transpose_rows(t_.block.by_class + k * part_rows, part_rows, part_rows, out + k, step);
  }

  void add_row(int64_t row, const float* residuals) const {
    // Pointers of its own: what it stores could be any float that another pointer reads.
    const uint16_t* columns = call_.columns + call_.row_starts[row];
    const uint16_t* const end = call_.columns + call_.row_starts[row + 1];
    const float* values = call_.values + call_.row_starts[row];
    float* const all = t_.sums;
    Floats residual[vectors];
    SOFTCLASS_UNROLL
    for (int v = 0; v < vectors; ++v) residual[v] = load(residuals + v * Floats::lanes);
    for (; columns < end; columns += compact_unit, values += compact_unit) {
      SOFTCLASS_UNROLL
      for (int u = 0; u < int(compact_unit); ++u) {
        float* const sums = all + int64_t(columns[u]) * step;
        const Floats x = broadcast(values[u]);
        SOFTCLASS_UNROLL
        for (int v = 0; v < vectors; ++v)
          store(sums + v * Floats::lanes, fma(x, residual[v], load(sums + v * Floats::lanes)));
      }
    }
  }

  const CompactPass& call_;
  const float* weight_;
  const float* tangent_;
  const float* bias_;
  const float* bias_tangent_;
  const CompactScratch& t_;
};

template <int64_t step>
bool run_pass(const CompactPass& call) {
  const int64_t D = call.n_features, R = call.n_outputs;
  const bool has_tangent = call.weight_tangent;
  Pieces count(nullptr);
  for (int i = 0; i < 1 + has_tangent; ++i) {
    count.take<float>(D * step);
    count.take<float>(step);
  }
  void* const memory = scratch(1, count.bytes());
  if (!memory) return false;
  Pieces pieces(memory);
  const auto spread_out = [&](const double* from, const double* from_bias, float*& weight, float*& bias) {
    weight = pieces.take<float>(D * step);
    bias = pieces.take<float>(step);
    spread(from, R, D, step, weight);
    for (int64_t k = 0; k < R; ++k) bias[k] = float(from_bias[k]);
  };
  float *weight, *bias, *tangent = nullptr, *bias_tangent = nullptr;
  spread_out(call.weight, call.bias, weight, bias);
  if (has_tangent) spread_out(call.weight_tangent, call.bias_tangent, tangent, bias_tangent);
  const int64_t n_chunks = (call.n_rows + compact_chunk_rows - 1) / compact_chunk_rows;
  const int64_t wanted = call.threads > 0 ? call.threads : thread_count();
  const bool is_small = call.row_starts[call.n_rows] < small_pass;
  const int64_t n_tasks = is_small ? 1 : least(wanted, least(n_chunks, call.n_lanes));
  volatile bool is_well = true;
  parallel(n_tasks, int(n_tasks), [&](int64_t task) {
    Pieces sizing(nullptr);
    compact_scratch(D, step, has_tangent, sizing);
    void* const own = scratch(0, sizing.bytes());
    if (!own) {
      is_well = false;
      return;
    }
    Pieces own_pieces(own);
    const CompactScratch t = compact_scratch(D, step, has_tangent, own_pieces);
    fill(t.sums, D * step, 0.0f);
    CompactChunk<step> chunk(call, weight, tangent, bias, bias_tangent, t);
    for (int64_t c = 0; c < n_chunks; ++c)
      if (c % call.n_lanes % n_tasks == task)
        chunk.run(c * compact_chunk_rows, least((c + 1) * compact_chunk_rows, call.n_rows),
                  call.lanes + c % call.n_lanes * compact_lane(D, R));
  });
  return is_well;
}

bool pass(const CompactPass& call) {
  return compact_step(call.n_outputs) == 16 ? run_pass<16>(call) : run_pass<32>(call);
}

}  // namespace

extern const CompactKernels compact_kernels;
const CompactKernels compact_kernels = {make, expand, pass};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
