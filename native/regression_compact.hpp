// Softmax regression over rows of which most numbers are at rest: at the value, one a column, that most rows have there.
// Only the others are kept, as (x - rest) factor in float32, so a pass reads and multiplies a part of a dense copy.
//
// Entries of a row come in whole units, with zeros behind the last. Rows go through in chunks of compact_chunk_rows;
// chunk c adds to lane c mod compact_lanes(D, R), in order, and lanes are added up in order, so that no bit depends on
// the threads.
#pragma once

#include <cstdint>

#include "targets.hpp"

namespace softclass {

constexpr int64_t compact_unit = 4;         // entries
constexpr int64_t compact_chunk_rows = 480;  // whole panels of every target
constexpr int64_t compact_most_features = 65536;
constexpr int64_t compact_most_outputs = 32;

// Numbers from a feature to the next in weights and sums, a number a class.
static constexpr int64_t compact_step(int64_t n_outputs) { return n_outputs <= 16 ? 16 : 32; }
static constexpr int64_t compact_numbers(int64_t n_features, int64_t n_outputs) {
  return (n_features + 1) * compact_step(n_outputs) + 2;
}
// Many where their sums stay in the second cache: the last lane of a pass has one thread working and the others waiting.
static constexpr int64_t compact_lanes(int64_t n_features, int64_t n_outputs) {
  const int64_t lanes = 65536 / compact_numbers(n_features, n_outputs);
  return lanes < 16 ? 16 : (lanes > 64 ? 64 : lanes);
}

// N rows: entries of row i from row_starts[i] to row_starts[i + 1], which are multiples of the unit.
struct CompactEntries {
  const int64_t* row_starts;  // (N + 1,)
  const uint16_t* columns;
  const float* values;
};

// The number of entries of each row, in whole units, where `columns` is null; else the entries.
struct CompactMaking {
  const void* features;  // N x D, contiguous
  bool is_double;
  int64_t n_rows, n_features;
  const double* rest;         // (D,)
  const double* factor;       // (D,); 0: the column is left out
  const int64_t* row_starts;  // (N + 1,); only for the entries
  int64_t* counts;            // (N,)
  uint16_t* columns;
  float* values;
  int threads;
};

// The entries of some rows, one row behind the other.
struct CompactTaking {
  CompactEntries entries;
  const int64_t* rows;  // (n,): which
  int64_t count;
  const int64_t* row_starts;  // (n + 1,): of what is written, from 0
  uint16_t* columns;
  float* values;
  int threads;
};

// Some rows as they were, (x - mean) factor: `base` with the entries added.
struct CompactExpansion {
  int64_t n_features;
  CompactEntries entries;
  const float* base;    // (D,): of a row at rest
  const int64_t* rows;  // (n,): which
  int64_t count;
  float* out;  // n x D
  int threads;
};

// The sum of the squares of each row's scaled numbers.
struct CompactLengths {
  int64_t n_rows, n_features;
  CompactEntries entries;
  const double* shift;  // (D,): what an entry is more than the scaled number
  double* lengths;      // (N,)
  int threads;
};

struct CompactPass {
  int64_t n_rows, n_features;
  int64_t n_outputs;          // R, from 3 on
  CompactEntries entries;
  const int64_t* targets;     // (N,), in range
  const double* row_weights;  // (N,), or null: all 1
  const double* weight;       // R x D
  const double* bias;         // (R,)
  // A direction: the product with the Hessian takes the place of the gradient, and there is no loss. Null: none.
  const double* weight_tangent;
  const double* bias_tangent;
  bool with_margin;   // the smallest lead of the right class over the best other one
  bool is_wide;       // arithmetic in double, whatever the entries are: large logits that cancel
  double* curvature;  // (N,): 1 - sum of the squared probabilities; then nothing else is made. Null: none
  float* chances;     // R x N, class by class: the probabilities; then nothing else is made. Null: none
  double* sums;       // D x step by weight, step by bias, loss, margin: written; null where nothing is summed
  int threads;
};

// Sums as those of RegressionHessian, of centred and scaled columns, without the terms a p_k p_l up to `least`. A term
// costs the products of the row's entries, and far from the border of two classes there is none: where rows are
// classified well, few of the N R (R - 1) / 2 are left.
struct CompactHessian {
  CompactPass pass;     // rows and point; a row's own weight is in a, and there are no sums
  const double* shift;  // (D,): what an entry is more than the scaled number
  double least;
  double* sums;  // hessian_pairs(R) x hessian_length(R, C), written
};

// For each class the sum of the products of a row's centred and scaled numbers, and of the one of the bias behind them,
// with each other, times what the row weighs in that class: the diagonal blocks of a Hessian.
//
// All classes go through together, so a pair of entries costs a vector of classes, however many pairs are at rest. Sums
// are float32 within a lane of rows, which is what a preconditioner needs, and float64 between lanes.
struct CompactGrams {
  int64_t n_rows, n_features, n_outputs;
  CompactEntries entries;
  const float* shares;  // R x N: what a row weighs
  const double* shift;  // (D,): what an entry is more than the scaled number
  double* sums;         // R x (D + 1) x (D + 1), written
  int threads;
};

constexpr int64_t compact_gram_lanes = 8;
constexpr int64_t compact_most_gram_features = 256;  // beyond, the sums of a lane leave the second cache
static constexpr int64_t compact_gram(int64_t n_features) { return (n_features + 1) * (n_features + 2) / 2; }

// False: no memory.
struct CompactKernels {
  bool (*make)(const CompactMaking& call);
  void (*take)(const CompactTaking& call);
  void (*expand)(const CompactExpansion& call);
  void (*lengths)(const CompactLengths& call);
  bool (*pass)(const CompactPass& call);
  bool (*hessian)(const CompactHessian& call);
  bool (*grams)(const CompactGrams& call);
};
SOFTCLASS_TABLES(CompactKernels, compact_kernels)

}  // namespace softclass
