#include "cross_entropy.hpp"

#include <cmath>

#include "row_state.hpp"

namespace softclass {
namespace {

// A target distribution q, read one class at a time. Smoothed: (1 - epsilon) q + epsilon / K.
struct IndexTarget {
  int64_t index;
  double at(int64_t j) const noexcept { return j == index ? 1.0 : 0.0; }
};

template <class Target>
struct SoftTarget {
  const Target* row;
  double at(int64_t j) const noexcept { return double(row[j]); }
};

struct Smoothing {
  double keep;   // 1 - epsilon
  double share;  // epsilon / K
  double epsilon;
  template <class Q>
  double at(const Q& q, int64_t j) const noexcept { return keep * q.at(j) + share; }
};

// What the formulas need of q besides its entries.
struct TargetSums {
  double total;     // sum of the smoothed q
  double off_first; // the same without the class of the maximum: total - q_k without the cancellation
};

TargetSums target_sums(IndexTarget q, const Smoothing& smoothing, int64_t K, int64_t first) noexcept {
  const double others = smoothing.share * double(K - 1);
  return {smoothing.keep + smoothing.epsilon, q.index == first ? others : smoothing.keep + others};
}

template <class Target>
TargetSums target_sums(SoftTarget<Target> q, const Smoothing& smoothing, int64_t K, int64_t first) noexcept {
  Sum others;
  for (int64_t j = 0; j < K; ++j)
    if (j != first) others.add(q.at(j));
  const double off = others.value();
  return {smoothing.keep * (off + q.at(first)) + smoothing.epsilon,
          smoothing.keep * off + smoothing.share * double(K - 1)};
}

// Minus the difference of a logit from the maximum, at least 0.
template <class Real>
double depth(Real z, double maximum) noexcept { return -difference(z, Real(maximum)).value; }

// sum_j q_j * depth_j; a class that q does not hold adds 0, also where its logit is -inf.
template <class Real>
double target_depth(const Real* z, IndexTarget q, int64_t, double maximum) noexcept {
  return depth(z[q.index], maximum);
}

template <class Real, class Target>
double target_depth(const Real* z, SoftTarget<Target> q, int64_t K, double maximum) noexcept {
  Sum sum;
  for (int64_t j = 0; j < K; ++j)
    if (q.at(j) != 0.0) sum.add(q.at(j) * depth(z[j], maximum));
  return sum.value();
}

template <class Real>
double total_depth(const Real* z, int64_t K, double maximum) noexcept {
  Sum sum;
  double block[sum_block];
  for (int64_t start = 0; start < K; start += sum_block) {
    const int64_t count = K - start < sum_block ? K - start : sum_block;
    for (int64_t j = 0; j < count; ++j) block[j] = depth(z[start + j], maximum);
    sum.add(block_sum(block, count));
  }
  return sum.value();
}

template <class Real>
void fill(Real* values, int64_t count, double with) noexcept {
  for (int64_t j = 0; j < count; ++j) values[j] = Real(with);
}

// One logit is +inf: the loss is 0 if q holds that class alone, else +inf.
template <class Real, class Q>
double one_hot_loss(const Q& q, const Smoothing& smoothing, int64_t K, const RowState& state, double scale,
                    Real* gradient) noexcept {
  const TargetSums sums = target_sums(q, smoothing, K, state.first);
  if (gradient) {
    for (int64_t j = 0; j < K; ++j) gradient[j] = Real(0.0 - scale * smoothing.at(q, j));
    gradient[state.first] = Real(scale * sums.off_first);
  }
  return sums.off_first > 0.0 ? infinity : 0.0;
}

template <class Real, class Q>
double row_loss(const Real* z, const Q& q, const Smoothing& smoothing, int64_t K, double scale, Real* gradient,
                double* weights) noexcept {
  const RowState state = row_state<false>(z, K, 1.0, weights);
  if (state.kind == RowKind::one_hot) return one_hot_loss(q, smoothing, K, state, scale, gradient);
  if (state.kind != RowKind::ordinary) {
    if (gradient) fill(gradient, K, not_a_number);
    return not_a_number;
  }
  const TargetSums sums = target_sums(q, smoothing, K, state.first);
  if (gradient) {
    const double r = 1.0 / (1.0 + state.rest);
    const double factor = sums.total * r;
    for (int64_t j = 0; j < K; ++j) gradient[j] = Real(scale * (weights[j] * factor - smoothing.at(q, j)));
    // p_k near 1 against q_k near 1: what is left comes from the other classes on both sides.
    if (2.0 * sums.off_first < sums.total)
      gradient[state.first] = Real(scale * (sums.off_first - state.rest * factor));
  }
  double loss = smoothing.keep * target_depth(z, q, K, state.maximum);
  if (smoothing.share > 0.0) loss += smoothing.share * total_depth(z, K, state.maximum);
  return std::log1p(state.rest) * sums.total + loss;
}

template <class Real, class QAt>
void rows_cross_entropy(const Real* logits, QAt target_of, const double* row_weights, double label_smoothing,
                        double divisor, int64_t N, int64_t K, double* losses, Real* gradient,
                        double* scratch) noexcept {
  const Smoothing smoothing{1.0 - label_smoothing, K > 0 ? label_smoothing / double(K) : 0.0, label_smoothing};
  for (int64_t i = 0; i < N; ++i) {
    Real* gradient_row = gradient ? gradient + i * K : nullptr;
    if (row_weights[i] == 0.0) {
      losses[i] = 0.0;
      if (gradient_row) fill(gradient_row, K, 0.0);
      continue;
    }
    losses[i] = row_weights[i] * row_loss(logits + i * K, target_of(i), smoothing, K, row_weights[i] / divisor,
                                          gradient_row, scratch);
  }
}

// Counts the bad rows and remembers the first.
struct Finder {
  int64_t first = -1;
  int64_t count = 0;
  void found(int64_t row) noexcept {
    if (count++ == 0) first = row;
  }
};

}  // namespace

RowWeights index_row_weights(const int64_t* targets, const double* sample_weight, const double* class_weight, int64_t N,
                             int64_t K, double* row_weights) noexcept {
  Finder bad;
  for (int64_t i = 0; i < N; ++i) {
    const double weight = sample_weight ? sample_weight[i] : 1.0;
    row_weights[i] = 0.0;
    if (weight == 0.0) continue;
    if (targets[i] < 0 || targets[i] >= K)
      bad.found(i);
    else
      row_weights[i] = class_weight ? weight * class_weight[targets[i]] : weight;
  }
  return {sum_of(row_weights, N), bad.first, bad.count};
}

template <class Target>
RowWeights soft_row_weights(const Target* targets, const double* sample_weight, const double* class_weight, int64_t N,
                            int64_t K, double tolerance, double* row_weights) noexcept {
  Finder bad;
  for (int64_t i = 0; i < N; ++i) {
    const double weight = sample_weight ? sample_weight[i] : 1.0;
    row_weights[i] = 0.0;
    if (weight == 0.0) continue;
    const Target* row = targets + i * K;
    Sum sum, weighted;
    bool negative = false;
    for (int64_t j = 0; j < K; ++j) {
      negative |= row[j] < Target(0);
      sum.add(double(row[j]));
      if (class_weight) weighted.add(class_weight[j] * double(row[j]));
    }
    if (negative || !(std::fabs(sum.value() - 1.0) <= tolerance))  // NaN compares false
      bad.found(i);
    else
      row_weights[i] = class_weight ? weight * weighted.value() : weight;
  }
  return {sum_of(row_weights, N), bad.first, bad.count};
}

template <class Real>
void index_cross_entropy(const Real* logits, const int64_t* targets, const double* row_weights, double label_smoothing,
                         double divisor, int64_t N, int64_t K, double* losses, Real* gradient,
                         double* scratch) noexcept {
  const auto target_of = [targets](int64_t i) { return IndexTarget{targets[i]}; };
  rows_cross_entropy(logits, target_of, row_weights, label_smoothing, divisor, N, K, losses, gradient, scratch);
}

template <class Real, class Target>
void soft_cross_entropy(const Real* logits, const Target* targets, const double* row_weights, double label_smoothing,
                        double divisor, int64_t N, int64_t K, double* losses, Real* gradient, double* scratch) noexcept {
  const auto target_of = [targets, K](int64_t i) { return SoftTarget<Target>{targets + i * K}; };
  rows_cross_entropy(logits, target_of, row_weights, label_smoothing, divisor, N, K, losses, gradient, scratch);
}

template RowWeights soft_row_weights(const float*, const double*, const double*, int64_t, int64_t, double,
                                     double*) noexcept;
template RowWeights soft_row_weights(const double*, const double*, const double*, int64_t, int64_t, double,
                                     double*) noexcept;
template void index_cross_entropy(const float*, const int64_t*, const double*, double, double, int64_t, int64_t,
                                  double*, float*, double*) noexcept;
template void index_cross_entropy(const double*, const int64_t*, const double*, double, double, int64_t, int64_t,
                                  double*, double*, double*) noexcept;
template void soft_cross_entropy(const float*, const float*, const double*, double, double, int64_t, int64_t, double*,
                                 float*, double*) noexcept;
template void soft_cross_entropy(const float*, const double*, const double*, double, double, int64_t, int64_t, double*,
                                 float*, double*) noexcept;
template void soft_cross_entropy(const double*, const float*, const double*, double, double, int64_t, int64_t, double*,
                                 double*, double*) noexcept;
template void soft_cross_entropy(const double*, const double*, const double*, double, double, int64_t, int64_t,
                                 double*, double*, double*) noexcept;

}  // namespace softclass
