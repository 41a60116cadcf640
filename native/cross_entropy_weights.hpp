// A chunk of rows before its logits are looked at: which class each row has for a target, what the row weighs, whether its
// target is one.
#pragma once

#include "cross_entropy.hpp"
#include "cross_entropy_lanes.hpp"
#include "row_state.hpp"
#include "staging.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int chunk_rows = 256;

// A number a row, with room for a last block that is not full. Uniform rows all weigh the same and have a target each:
// `omega` and `scale` then hold one block, and the class indices stay where they are.
struct Chunk {
  bool is_uniform;
  bool has_gaps;  // some rows are not there
  const int64_t* picks;
  alignas(64) int64_t own_picks[chunk_rows + most_lanes];
  alignas(64) double omega[chunk_rows + most_lanes];
  alignas(64) double scale[chunk_rows + most_lanes];
  alignas(64) double losses[chunk_rows + most_lanes];
  alignas(64) double depths[chunk_rows + most_lanes];  // see RowLoss
  alignas(64) double corrections[chunk_rows + most_lanes];
  alignas(64) double totals[chunk_rows + most_lanes];
};

SOFTCLASS_INLINE void found_bad(CrossEntropySum& sum, int64_t row) {
  if (sum.n_bad++ == 0) sum.first_bad = row;
}

SOFTCLASS_INLINE double weight_of_sample(const CrossEntropy& call, int64_t row) {
  return call.weight_scale * (call.sample_weight ? call.sample_weight[row] : 1.0);
}
// Of the gradient of a row. A row that is not there has 0 also where the divisor is 0.
SOFTCLASS_INLINE double gradient_scale(const CrossEntropy& call, int64_t row, double omega) {
  if (omega == 0.0) return 0.0;
  const double share = omega / call.divisor * call.factor;
  return call.upstream ? share * call.upstream[row] : share;
}

SOFTCLASS_INLINE void weigh_index(const CrossEntropy& call, int64_t row, Chunk& chunk, int64_t place,
                                  CrossEntropySum& sum) {
  const int64_t target = call.targets[row];
  double omega = weight_of_sample(call, row);
  int64_t pick = -1;
  if (call.has_ignored && target == call.ignored) omega = 0.0;
  if (omega != 0.0) {
    if (uint64_t(target) >= uint64_t(call.layout.n_classes)) {
      found_bad(sum, row);
      omega = not_a_number<double>();
    } else {
      if (call.class_weight) omega *= call.class_weight[target];
      if (omega != 0.0) pick = target;
    }
  }
  chunk.own_picks[place] = pick;
  chunk.omega[place] = omega;
  chunk.scale[place] = gradient_scale(call, row, omega);
  chunk.has_gaps |= omega == 0.0;
}

SOFTCLASS_INLINE bool all_are_classes(const int64_t* targets, int64_t count, int64_t n_classes) {
  int64_t bad = 0;
  for (int64_t i = 0; i < count; ++i) bad += uint64_t(targets[i]) >= uint64_t(n_classes);
  return bad == 0;
}

SOFTCLASS_INLINE bool may_be_uniform(const CrossEntropy& call) {
  return !call.sample_weight && !call.class_weight && !call.has_ignored;
}

// Class indices.
static void weigh_indices(const CrossEntropy& call, int64_t first, int64_t count, Chunk& chunk, CrossEntropySum& sum) {
  chunk.has_gaps = false;
  chunk.is_uniform = may_be_uniform(call) && !call.upstream && all_are_classes(call.targets + first, count, call.layout.n_classes);
  if (chunk.is_uniform) {
    chunk.picks = call.targets + first;
    for (int l = 0; l < most_lanes; ++l) {
      chunk.omega[l] = call.weight_scale;
      chunk.scale[l] = call.weight_scale / call.divisor * call.factor;
    }
    return;
  }
  chunk.picks = chunk.own_picks;
  for (int64_t i = 0; i < count; ++i) weigh_index(call, first + i, chunk, i, sum);
}

struct ShareWeight {
  double weight;  // sum of class weight times share
  bool is_bad;
};
// A row of shares: none negative, none NaN, the sum near 1.
static ShareWeight weight_of_shares(const CrossEntropy& call, int64_t row) {
  constexpr int at_once = 256;
  double q[at_once], sum = 0.0, weighted = 0.0;
  bool is_bad = false;
  for (int64_t begin = 0; begin < call.layout.n_classes; begin += at_once) {
    const int64_t left = call.layout.n_classes - begin, count = left < at_once ? left : at_once;
    read_classes(call.layout, CrossEntropy::shares, row, begin, count, q);
    for (int64_t j = 0; j < count; ++j) {
      is_bad |= !(q[j] >= 0.0);
      sum += q[j];
    }
    if (call.class_weight)
      for (int64_t j = 0; j < count; ++j) weighted += q[j] * call.class_weight[begin + j];
  }
  const double off = sum - 1.0;
  return {weighted, is_bad || !(off <= call.tolerance && -off <= call.tolerance)};
}

// Rows of shares. Of a row that is not there not even its shares are read.
static void weigh_shares(const CrossEntropy& call, int64_t first, int64_t count, Chunk& chunk, CrossEntropySum& sum) {
  chunk.has_gaps = chunk.is_uniform = false;
  chunk.picks = chunk.own_picks;
  for (int64_t i = 0; i < count; ++i) {
    double omega = weight_of_sample(call, first + i);
    if (omega != 0.0) {
      const ShareWeight found = weight_of_shares(call, first + i);
      if (found.is_bad) {
        found_bad(sum, first + i);
        omega = not_a_number<double>();
      } else if (call.class_weight) {
        omega *= found.weight;
      }
    }
    chunk.own_picks[i] = omega == omega && omega != 0.0 ? 0 : -1;
    chunk.omega[i] = omega;
    chunk.scale[i] = gradient_scale(call, first + i, omega);
    chunk.has_gaps |= omega == 0.0;
  }
}

SOFTCLASS_INLINE void weigh(const CrossEntropy& call, int64_t first, int64_t count, Chunk& chunk, CrossEntropySum& sum) {
  if (call.has_shares)
    weigh_shares(call, first, count, chunk, sum);
  else
    weigh_indices(call, first, count, chunk, sum);
}

// Adds numbers to a pair of eight lanes, number i to lane i mod 8 whatever the vectors.
constexpr int sum_lanes = 8;
struct LaneSums {
  alignas(64) double high[sum_lanes];
  alignas(64) double low[sum_lanes];
};
SOFTCLASS_INLINE void clear(LaneSums& sums) {
  for (int l = 0; l < sum_lanes; ++l) sums.high[l] = sums.low[l] = 0.0;
}
// `values` has room for a multiple of eight.
static void add_all(LaneSums& sums, double* values, int64_t count) {
  for (int64_t i = count; i % sum_lanes != 0; ++i) values[i] = 0.0;
  for (int l = 0; l < sum_lanes; l += Doubles::lanes) {
    Pair<Doubles> sum{load(sums.high + l), load(sums.low + l)};
    for (int64_t i = l; i < count; i += sum_lanes) sum = plus(sum, load(values + i));
    store(sums.high + l, sum.high);
    store(sums.low + l, sum.low);
  }
}
static void total_of(const LaneSums& sums, double& high, double& low) {
  high = low = 0.0;
  for (int l = 0; l < sum_lanes; ++l) {
    const Pair<double> sum = plus(Pair<double>{high, low}, Pair<double>{sums.high[l], sums.low[l]});
    high = sum.high;
    low = sum.low;
  }
}

// A bad row spoils itself: in the sum of the weights it counts as one row.
static void add_weights(const CrossEntropy& call, const Chunk& chunk, int64_t count, LaneSums& sums) {
  double weights[chunk_rows + sum_lanes];
  for (int64_t i = 0; i < count; ++i) {
    const double omega = chunk.omega[chunk.is_uniform ? 0 : i];
    weights[i] = omega == omega ? omega : call.weight_scale;
  }
  add_all(sums, weights, count);
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
