// Dual coordinate ascent over sparse rows, compiled once a target. See dual_ascent.hpp.
#include "dual_ascent.hpp"

#include "exp.hpp"
#include "log1p.hpp"
#include "sparse_entries.hpp"
#include "threads.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {
namespace {

constexpr int L = Floats::lanes;
constexpr int line = 64 / int(sizeof(float));
constexpr int most_turns = 16;  // of Newton's method in a visit
constexpr double near = 0.1;    // change of a distribution after which another turn would change it by its square

struct Sum {
  Doubles parts[part_vectors];
  Sum() {
    for (int i = 0; i < part_vectors; ++i) parts[i] = broadcast(0.0);
  }
  void add(int64_t place, Floats x) { add_to_parts(parts, place, x); }
  double total() { return tree_sum(parts, n_parts); }
};

// Vector sums of value * row, while the rows of the next visit are fetched.
template <int T>
SOFTCLASS_INLINE void logits_of_tile(const Entries<float>& entries, const Entries<float>& next, const float* weight,
                                     int64_t step, const float* bias, float* out) {
  Floats sums[T], odd[T];
  SOFTCLASS_UNROLL
  for (int t = 0; t < T; ++t) {
    sums[t] = load(bias + t * L);
    odd[t] = broadcast(0.0f);
  }
  const auto fetch_next = [&](int64_t q) {
    const float* const row = weight + int64_t(next.index[q]) * step;
    SOFTCLASS_UNROLL
    for (int l = 0; l < T * L; l += line) fetch(row + l);
  };
  int64_t q = 0;
  for (; q + 2 <= entries.count; q += 2) {
    if (q + 2 <= next.count) {
      fetch_next(q);
      fetch_next(q + 1);
    }
    const float *a = weight + int64_t(entries.index[q]) * step, *b = weight + int64_t(entries.index[q + 1]) * step;
    const Floats x = broadcast(entries.value[q]), y = broadcast(entries.value[q + 1]);
    SOFTCLASS_UNROLL
    for (int t = 0; t < T; ++t) {
      sums[t] = fma(x, load(a + t * L), sums[t]);
      odd[t] = fma(y, load(b + t * L), odd[t]);
    }
  }
  if (q < entries.count) {
    const float* a = weight + int64_t(entries.index[q]) * step;
    const Floats x = broadcast(entries.value[q]);
    SOFTCLASS_UNROLL
    for (int t = 0; t < T; ++t) sums[t] = fma(x, load(a + t * L), sums[t]);
  }
  for (; q < next.count; ++q) fetch_next(q);
  SOFTCLASS_UNROLL
  for (int t = 0; t < T; ++t) store(out + t * L, sums[t] + odd[t]);
}

template <int T>
SOFTCLASS_INLINE void add_tile(const Entries<float>& entries, const float* change, int64_t step, float* weight) {
  Floats move[T];
  SOFTCLASS_UNROLL
  for (int t = 0; t < T; ++t) move[t] = load(change + t * L);
  for (int64_t q = 0; q < entries.count; ++q) {
    float* const row = weight + int64_t(entries.index[q]) * step;
    const Floats x = broadcast(entries.value[q]);
    SOFTCLASS_UNROLL
    for (int t = 0; t < T; ++t) store(row + t * L, fma(x, move[t], load(row + t * L)));
  }
}

SOFTCLASS_INLINE double log_of(double sum) { return first(log1p_for_double(broadcast(sum - 1.0))); }

class Ascent {
 public:
  explicit Ascent(const DualAscent& call) : call_(call) {}

  DualEnd run() {
    const int64_t step = call_.step;
    float* const memory = static_cast<float*>(scratch(2, 5 * step * int64_t(sizeof(float))));
    if (!memory) return {0.0, 0.0, true};
    bias_ = memory;
    logits_ = memory + step;
    old_ = memory + 2 * step;
    chance_ = memory + 3 * step;
    log_ = memory + 4 * step;
    for (int64_t c = 0; c < step; ++c) bias_[c] = float(call_.centre[c] + call_.stiffness * call_.pull[c]);
    DualEnd end{0.0, 0.0, false};
    for (int64_t visit = 0; visit < call_.n_visits; ++visit) {
      const int64_t row = call_.order[visit], next = call_.order[visit + 1 < call_.n_visits ? visit + 1 : visit];
      const int64_t later = call_.order[visit + 2 < call_.n_visits ? visit + 2 : visit];
      fetch(call_.columns + call_.row_starts[later]);
      fetch(call_.values + call_.row_starts[later]);
      for (int64_t c = 0; c < step; c += line) fetch(call_.logarithms + next * step + c);
      visit_row(row, next, &end);
    }
    return end;
  }

 private:
  Entries<float> entries_of(int64_t row) const {
    const int64_t start = call_.row_starts[row];
    return {call_.columns + start, call_.values + start, call_.row_starts[row + 1] - start, nullptr};
  }

  void visit_row(int64_t row, int64_t next, DualEnd* end) {
    const Entries<float> entries = entries_of(row), coming = entries_of(next);
    const int64_t step = call_.step;
    each_tile<float>(step, [&](auto tile, int64_t at) {
      logits_of_tile<decltype(tile)::value>(entries, coming, call_.weight + at, step, bias_ + at, logits_ + at);
    });
    float* const kept = call_.logarithms + row * step;
    const float right = logits_[call_.targets[row]];
    const double maximum = subtract_largest(logits_);
    const double log_sum = normalise(logits_, chance_);
    const double weight = call_.weights[row];
    Sum crossed;
    const Floats zero = broadcast(0.0f);
    for (int64_t c = 0; c < step; c += L) {
      const Floats u = load(kept + c), a = exp_of_difference(u, zero);
      store(old_ + c, a);
      crossed.add(c / L, a * (u - load(logits_ + c)));
    }
    const double divergence = crossed.total() + log_sum;
    end->loss += weight * (log_sum + (maximum - double(right)));
    end->divergence += weight * divergence;
    improve(float(call_.curvatures[row]), log_sum);
    const Floats share = broadcast(float(weight));
    for (int64_t c = 0; c < step; c += L) {
      store(kept + c, load(log_ + c));
      store(old_ + c, (load(old_ + c) - load(chance_ + c)) * share);
    }
    each_tile<float>(step, [&](auto tile, int64_t at) {
      add_tile<decltype(tile)::value>(entries, old_ + at, step, call_.weight + at);
    });
    if (call_.stiffness == 0.0) return;
    const Doubles stiffness = broadcast(call_.stiffness);
    for (int64_t c = 0; c < step; c += L) {
      const Floats move = load(old_ + c);
      add_to(call_.pull + c, move);
      store(bias_ + c, narrow(fma(stiffness, load(call_.pull + c), load(call_.centre + c)),
                              fma(stiffness, load(call_.pull + c + L / 2), load(call_.centre + c + L / 2))));
    }
  }

  // Newton's method for the logarithms of the distribution and mu together, from the probabilities in chance_; leaves
  // the distribution there. No logarithm rises above 0, which bounds a step where the curvature is large.
  void improve(float eta, double log_sum) {
    const int64_t step = call_.step;
    const Floats one = broadcast(1.0f), zero = broadcast(0.0f), curvature = broadcast(eta);
    const Floats shift = broadcast(float(log_sum));
    for (int64_t c = 0; c < step; c += L) store(log_ + c, load(logits_ + c) - shift);
    double sum = 1.0, change = 1.0;
    for (int turn = 0; turn < most_turns && change > near / (1.0 + double(eta)); ++turn) {
      Sum above, below;
      for (int64_t c = 0; c < step; c += L) {
        const Floats a = load(chance_ + c), w = a / fma(curvature, a, one);
        const Floats miss = fma(curvature, load(old_ + c) - a, load(logits_ + c) - load(log_ + c));
        above.add(c / L, w * miss);
        below.add(c / L, w);
      }
      const Floats mu = broadcast(float((above.total() + (sum - 1.0)) / below.total()));
      Sum moved, total;
      for (int64_t c = 0; c < step; c += L) {
        const Floats a = load(chance_ + c), l = load(log_ + c);
        const Floats miss = fma(curvature, load(old_ + c) - a, load(logits_ + c) - l);
        const Floats better = l + (miss - mu) / fma(curvature, a, one);
        const Floats bounded = select(less(zero, better), zero, better);
        const Floats e = exp_of_difference(bounded, zero), difference = e - a;
        store(log_ + c, bounded);
        store(chance_ + c, e);
        moved.add(c / L, greater_of(difference, zero - difference));
        total.add(c / L, e);
      }
      change = moved.total();
      sum = total.total();
    }
    subtract_largest(log_);
    const Floats norm = broadcast(float(normalise(log_, chance_)));
    for (int64_t c = 0; c < step; c += L) store(log_ + c, load(log_ + c) - norm);
  }

  double subtract_largest(float* z) const {
    Floats best = load(z);
    for (int64_t c = L; c < call_.step; c += L) best = greater_of(load(z + c), best);
    const float maximum = largest(best);
    const Floats m = broadcast(maximum);
    for (int64_t c = 0; c < call_.step; c += L) store(z + c, load(z + c) - m);
    return double(maximum);
  }

  // Probabilities of logits not above 0; returns the logarithm of the sum of the exponentials.
  double normalise(const float* z, float* out) const {
    Sum sum;
    const Floats zero = broadcast(0.0f);
    for (int64_t c = 0; c < call_.step; c += L) {
      const Floats e = exp_of_difference(load(z + c), zero);
      store(out + c, e);
      sum.add(c / L, e);
    }
    const double total = sum.total();
    const Floats inverse = broadcast(float(1.0 / total));
    for (int64_t c = 0; c < call_.step; c += L) store(out + c, load(out + c) * inverse);
    return log_of(total);
  }

  const DualAscent& call_;
  float* bias_ = nullptr;
  float* logits_ = nullptr;  // less the largest
  float* old_ = nullptr;     // the distribution before, then how the weights move
  float* chance_ = nullptr;
  float* log_ = nullptr;
};

DualEnd run(const DualAscent& call) { return Ascent(call).run(); }

}  // namespace

extern const DualAscentKernels dual_ascent_kernels;
const DualAscentKernels dual_ascent_kernels = {run};

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
