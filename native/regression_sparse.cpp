// The pass over sparse rows, compiled once a target. See regression_sparse.hpp.
#include "regression_sparse.hpp"

#include "exp.hpp"
#include "log1p.hpp"
#include "sparse_entries.hpp"
#include "threads.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {
namespace {

constexpr int64_t task_rows = 64;
constexpr int64_t task_columns = 512;
constexpr int64_t run_entries = 256;  // of a column, between additions to the sum in double

// sums[t] += sum over the entries of value * vector t of the row with that index.
template <class Real, int T>
SOFTCLASS_INLINE void add_rows(const Entries<Real>& entries, const Real* rows, int64_t step, Vector<Real>* sums) {
  using V = Vector<Real>;
  constexpr int L = lanes_of<Real>, line = 64 / int(sizeof(Real));
  V odd[T];
  SOFTCLASS_UNROLL
  for (int t = 0; t < T; ++t) odd[t] = broadcast(Real(0));
  const int32_t* index = entries.index;
  const Real* value = entries.value;
  int64_t q = 0;
  for (; q + 2 <= entries.count; q += 2, index += 2, value += 2) {
    if (index + ahead + 1 < entries.end) {
      const Real* const next = rows + int64_t(index[ahead]) * step;
      const Real* const after = rows + int64_t(index[ahead + 1]) * step;
      SOFTCLASS_UNROLL
      for (int l = 0; l < T * L; l += line) {
        fetch(next + l);
        fetch(after + l);
      }
    }
    const Real *a = rows + int64_t(index[0]) * step, *b = rows + int64_t(index[1]) * step;
    const V x = broadcast(value[0]), y = broadcast(value[1]);
    SOFTCLASS_UNROLL
    for (int t = 0; t < T; ++t) {
      sums[t] = fma(x, load(a + t * L), sums[t]);
      odd[t] = fma(y, load(b + t * L), odd[t]);
    }
  }
  if (q < entries.count) {
    const Real* a = rows + int64_t(index[0]) * step;
    const V x = broadcast(value[0]);
    SOFTCLASS_UNROLL
    for (int t = 0; t < T; ++t) sums[t] = fma(x, load(a + t * L), sums[t]);
  }
  SOFTCLASS_UNROLL
  for (int t = 0; t < T; ++t) sums[t] = sums[t] + odd[t];
}

template <class Real, int T>
SOFTCLASS_INLINE void logits_of_tile(const Entries<Real>& entries, const Real* weight, int64_t step, const Real* bias,
                                     Real* out) {
  constexpr int L = lanes_of<Real>;
  Vector<Real> sums[T];
  SOFTCLASS_UNROLL
  for (int t = 0; t < T; ++t) sums[t] = load(bias + t * L);
  add_rows<Real, T>(entries, weight, step, sums);
  SOFTCLASS_UNROLL
  for (int t = 0; t < T; ++t) store(out + t * L, sums[t]);
}

template <class Real, int T>
SOFTCLASS_INLINE void gradient_of_tile(Entries<Real> entries, const Real* residuals, int64_t step, double* out) {
  constexpr int L = lanes_of<Real>;
  int64_t rest = entries.count;
  while (rest > 0) {
    entries.count = rest < run_entries ? rest : run_entries;
    Vector<Real> sums[T];
    SOFTCLASS_UNROLL
    for (int t = 0; t < T; ++t) sums[t] = broadcast(Real(0));
    add_rows<Real, T>(entries, residuals, step, sums);
    SOFTCLASS_UNROLL
    for (int t = 0; t < T; ++t) add_to(out + t * L, sums[t]);
    entries.index += entries.count;
    entries.value += entries.count;
    rest -= entries.count;
  }
}

template <class Real>
class SparsePass {
  using V = Vector<Real>;
  static constexpr int L = lanes_of<Real>;

 public:
  explicit SparsePass(const SparseRegression& call) : call_(call) {}

  SparseEnd run() {
    const int64_t chunk_tasks = (call_.chunk_rows + task_rows - 1) / task_rows;
    const int64_t residual_bytes = call_.chunk_rows * call_.step * int64_t(sizeof(Real));
    const int64_t part_bytes = chunk_tasks * (call_.step + 2) * int64_t(sizeof(double));
    char* const memory = static_cast<char*>(scratch(2, residual_bytes + part_bytes));
    if (!memory) return {0.0, 0.0, true};
    residuals_ = reinterpret_cast<Real*>(memory);
    bias_parts_ = reinterpret_cast<double*>(memory + residual_bytes);
    loss_parts_ = bias_parts_ + chunk_tasks * call_.step;
    margin_parts_ = loss_parts_ + chunk_tasks;
    clear();
    SparseEnd end{0.0, __builtin_inf(), false};
    for (int64_t first = 0, chunk = 0; first < call_.n_rows; first += call_.chunk_rows, ++chunk) {
      const int64_t last = first + call_.chunk_rows < call_.n_rows ? first + call_.chunk_rows : call_.n_rows;
      const int64_t n_tasks = (last - first + task_rows - 1) / task_rows;
      parallel(n_tasks, call_.threads, [&](int64_t task) {
        const int64_t start = first + task * task_rows;
        make_residuals(first, start, start + task_rows < last ? start + task_rows : last, task);
      });
      for (int64_t task = 0; task < n_tasks; ++task) {
        end.loss += loss_parts_[task];
        if (margin_parts_[task] < end.margin) end.margin = margin_parts_[task];
        for (int64_t c = 0; c < call_.step; ++c) call_.bias_product[c] += bias_parts_[task * call_.step + c];
      }
      const int64_t begin = call_.chunk_starts[chunk], stop = call_.chunk_starts[chunk + 1];
      parallel((stop - begin + task_columns - 1) / task_columns, call_.threads, [&](int64_t task) {
        const int64_t from = begin + task * task_columns;
        add_columns(from, from + task_columns < stop ? from + task_columns : stop);
      });
    }
    return end;
  }

 private:
  void clear() {
    for (int64_t c = 0; c < call_.step; ++c) call_.bias_product[c] = 0.0;
    if (call_.is_clear) return;
    constexpr int64_t run = 4096;
    const int64_t size = call_.n_features * call_.step;
    parallel((size + run - 1) / run, call_.threads, [&](int64_t task) {
      const int64_t end = (task + 1) * run < size ? (task + 1) * run : size;
      for (int64_t i = task * run; i < end; i += Doubles::lanes) store(call_.weight_product + i, broadcast(0.0));
    });
  }

  Entries<Real> entries_of(int64_t row) const {
    const int64_t start = call_.row_starts[row];
    return {call_.columns + start, static_cast<const Real*>(call_.values) + start, call_.row_starts[row + 1] - start,
            call_.columns + call_.row_starts[call_.n_rows]};
  }

  void make_logits(int64_t row, const void* weight, const void* bias, Real* out) const {
    const Entries<Real> entries = entries_of(row);
    each_tile<Real>(call_.step, [&](auto tile, int64_t at) {
      logits_of_tile<Real, decltype(tile)::value>(entries, static_cast<const Real*>(weight) + at, call_.step,
                                                  static_cast<const Real*>(bias) + at, out + at);
    });
  }

  // Logits become probabilities. Returns what exp(0) of the maximum and the rest sum to, less 1, and the maximum.
  struct Partition {
    double rest;
    Real maximum;
  };
  Partition normalise(Real* z) const {
    V best = load(z);
    for (int64_t c = L; c < call_.step; c += L) best = greater_of(load(z + c), best);
    const Real maximum = largest(best);
    const V m = broadcast(maximum), zero = broadcast(Real(0));
    Doubles parts[part_vectors];
    for (int i = 0; i < part_vectors; ++i) parts[i] = broadcast(0.0);
    for (int64_t c = 0; c < call_.step; c += L) {
      const V e = exp_of_difference(load(z + c) - m, zero);
      store(z + c, e);
      add_to_parts(parts, c / L, e);
    }
    const double sum = tree_sum(parts, n_parts);
    const V inverse = broadcast(Real(1.0 / sum));
    for (int64_t c = 0; c < call_.step; c += L) store(z + c, load(z + c) * inverse);
    return {sum - 1.0, maximum};
  }

  void make_residuals(int64_t chunk_first, int64_t first, int64_t last, int64_t task) {
    Real* const z = residuals_ + (first - chunk_first) * call_.step;
    double rests[task_rows], loss = 0.0, margin = __builtin_inf();
    for (int64_t r = 0; r < task_rows; ++r) rests[r] = 0.0;
    for (int64_t row = first; row < last; ++row) {
      Real* const own = z + (row - first) * call_.step;
      if (call_.weight_tangent)
        make_product(row, own);
      else
        rests[row - first] = make_gradient(row, own, &loss, &margin);
    }
    if (!call_.weight_tangent) {
      for (int64_t r = 0; r < task_rows; r += Doubles::lanes) store(rests + r, log1p_for_double(load(rests + r)));
      for (int64_t row = first; row < last; ++row) loss += call_.weights[row] * rests[row - first];
    }
    loss_parts_[task] = loss;
    margin_parts_[task] = margin;
    double* const sums = bias_parts_ + task * call_.step;
    for (int64_t c = 0; c < call_.step; ++c) sums[c] = 0.0;
    for (int64_t row = first; row < last; ++row)
      for (int64_t c = 0; c < call_.step; c += L) add_to(sums + c, load(z + (row - first) * call_.step + c));
  }

  double make_gradient(int64_t row, Real* z, double* loss, double* margin) const {
    const int64_t target = call_.targets[row];
    make_logits(row, call_.weight, call_.bias, z);
    const Real right = z[target];
    if (call_.wants_margin) {
      Real other = -Real(__builtin_inf());
      for (int64_t c = 0; c < call_.n_classes; ++c)
        if (c != target && z[c] > other) other = z[c];
      if (double(right) - double(other) < *margin) *margin = double(right) - double(other);
    }
    const Partition partition = normalise(z);
    *loss += call_.weights[row] * (double(partition.maximum) - double(right));
    if (call_.probabilities) {
      Real* const kept = static_cast<Real*>(call_.probabilities) + row * call_.step;
      for (int64_t c = 0; c < call_.step; c += L) store(kept + c, load(z + c));
    }
    z[target] -= Real(1);
    const V weight = broadcast(Real(call_.weights[row]));
    for (int64_t c = 0; c < call_.step; c += L) store(z + c, load(z + c) * weight);
    return partition.rest;
  }

  // weight * p (u - <p, u>), where u are the logits of the tangent.
  void make_product(int64_t row, Real* u) const {
    const Real* const p = static_cast<const Real*>(call_.probabilities) + row * call_.step;
    make_logits(row, call_.weight_tangent, call_.bias_tangent, u);
    Doubles parts[part_vectors];
    for (int i = 0; i < part_vectors; ++i) parts[i] = broadcast(0.0);
    for (int64_t c = 0; c < call_.step; c += L) add_to_parts(parts, c / L, load(p + c) * load(u + c));
    const V mean = broadcast(Real(tree_sum(parts, n_parts)));
    const V weight = broadcast(Real(call_.weights[row]));
    for (int64_t c = 0; c < call_.step; c += L) store(u + c, load(p + c) * (load(u + c) - mean) * weight);
  }

  void add_columns(int64_t first, int64_t last) {
    const int32_t* const end = call_.column_rows + call_.column_starts[last];
    for (int64_t j = first; j < last; ++j) {
      const int64_t start = call_.column_starts[j];
      const Entries<Real> entries = {call_.column_rows + start, static_cast<const Real*>(call_.column_values) + start,
                                     call_.column_starts[j + 1] - start, end};
      double* const out = call_.weight_product + int64_t(call_.chunk_columns[j]) * call_.step;
      each_tile<Real>(call_.step, [&](auto tile, int64_t at) {
        gradient_of_tile<Real, decltype(tile)::value>(entries, residuals_ + at, call_.step, out + at);
      });
    }
  }

  const SparseRegression& call_;
  Real* residuals_ = nullptr;  // of the rows of a chunk
  double* bias_parts_ = nullptr;
  double* loss_parts_ = nullptr;
  double* margin_parts_ = nullptr;
};

SparseEnd run(const SparseRegression& call) {
  return call.is_double ? SparsePass<double>(call).run() : SparsePass<float>(call).run();
}

template <class Real>
void spread_as(const ScaledParameters& call, double* parts, Real* weight, Real* bias) {
  const int64_t R = call.n_outputs, D = call.n_features, n_tasks = spread_parts(D);
  parallel(n_tasks, call.threads, [&](int64_t task) {
    double* const own = parts + task * R;
    for (int64_t r = 0; r < R; ++r) own[r] = 0.0;
    const int64_t last = (task + 1) * spread_columns < D ? (task + 1) * spread_columns : D;
    for (int64_t j = task * spread_columns; j < last; ++j) {
      const double factor = call.factor[j], shift = call.shift[j];
      const double* const from = call.theta + j * R;
      Real* const to = weight + j * call.step + call.first;
      for (int64_t r = 0; r < R; ++r) {
        const double w = from[r] * factor;
        to[r] = Real(w);
        own[r] += w * shift;
      }
    }
  });
  for (int64_t r = 0; r < R; ++r) {
    double b = call.has_bias ? call.theta[D * R + r] : 0.0;
    for (int64_t task = 0; task < n_tasks; ++task) b -= parts[task * R + r];
    bias[call.first + r] = Real(b);
  }
}
void spread(const ScaledParameters& call, double* parts, void* weight, void* bias) {
  if (call.is_double)
    spread_as(call, parts, static_cast<double*>(weight), static_cast<double*>(bias));
  else
    spread_as(call, parts, static_cast<float*>(weight), static_cast<float*>(bias));
}

SOFTCLASS_INLINE void centre(double* values, int64_t count) {
  if (count < 2) return;
  double sum = 0.0;
  for (int64_t r = 0; r < count; ++r) sum += values[r];
  const double mean = sum / double(count);
  for (int64_t r = 0; r < count; ++r) values[r] -= mean;
}

double gather(const ScaledParameters& call, const double* by_weight, const double* by_bias, double* parts,
              double* derivative) {
  const int64_t R = call.n_outputs, D = call.n_features, n_tasks = spread_parts(D);
  const int64_t to_step = derivative == by_weight ? call.step : R, to_first = derivative == by_weight ? call.first : 0;
  const double* const sums = by_bias + call.first;
  parallel(n_tasks, call.threads, [&](int64_t task) {
    double total = 0.0;
    const int64_t last = (task + 1) * spread_columns < D ? (task + 1) * spread_columns : D;
    for (int64_t j = task * spread_columns; j < last; ++j) {
      const double factor = call.factor[j], shift = call.shift[j], penalty = call.penalty[j];
      const double* const theta = call.theta + j * R;
      const double* const from = by_weight + j * call.step + call.first;
      double* const to = derivative + j * to_step + to_first;
      double square = 0.0;
      for (int64_t r = 0; r < R; ++r) {
        to[r] = (from[r] - sums[r] * shift) * factor + penalty * theta[r];
        square += theta[r] * theta[r];
      }
      total += penalty * square;
      centre(to, R);
    }
    parts[task] = total;
  });
  double total = 0.0;
  for (int64_t task = 0; task < n_tasks; ++task) total += parts[task];
  if (call.has_bias) {
    double* const to = derivative + D * to_step + to_first;
    for (int64_t r = 0; r < R; ++r) to[r] = sums[r];
    centre(to, R);
  }
  return 0.5 * total;
}

}  // namespace

extern const SparseRegressionKernels sparse_regression_kernels;
const SparseRegressionKernels sparse_regression_kernels = {run, spread, gather};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
