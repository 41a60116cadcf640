// Few classes: one read of the features gives the loss and the gradient. The rows are cut into slabs by their number
// alone, each with its own sums in double; a slab is a task and goes through its rows block by block, while a block of
// features lies in the second cache.
#pragma once

#include "linear_finish.hpp"

namespace softclass {
namespace SOFTCLASS_TARGET {

constexpr int64_t streamed_rows = 48;

// Sizes of a call, in elements; memory is one piece for all threads and one a thread.
struct FewSizes {
  int64_t block_rows;  // rows of a block
  int64_t n_slabs, slab_rows;
  int64_t row_step;    // of features that were copied: D in whole vectors
  int64_t class_step;  // of logits, a row after the other: K in whole vectors
  int64_t panels;      // of the weight, transposed
  int64_t n_logits;    // kinds of logits: those and, for a Hessian, their tangents
};

template <class Real>
static FewSizes few_sizes(const LinearLoss& call) {
  constexpr int L = lanes_of<Real>, width = panel_width<Real>;
  const int64_t D = call.n_features, K = call.n_classes;
  FewSizes s;
  s.block_rows = most(16, least(128, 98304 / most(D, 1) / 16 * 16));
  const int64_t by_memory = most(1, (int64_t(32) << 20) / most(1, 8 * K * (D + 1)));
  const int64_t n_units = n_sums(call);
  s.n_slabs = most(1, least(n_units, least(16, by_memory)));
  s.slab_rows = most(1, (n_units + s.n_slabs - 1) / s.n_slabs) * sum_rows;
  s.n_slabs = most(1, (call.n_rows + s.slab_rows - 1) / s.slab_rows);
  s.row_step = rounded_up(D, L);
  s.class_step = rounded_up(K, 16);
  s.panels = rounded_up(K, width);
  s.n_logits = call.weight_tangent.data ? 2 : 1;
  return s;
}

// What all threads read, and the sums of the slabs.
template <class Real>
struct FewShared {
  Real* panels[2];  // weight, tangent: transposed
  Real* rows;       // of the weight, for the gradient of the features
  Real* bias[2];
  double* weight_sums;  // n_slabs x K x D
  double* bias_sums;    // n_slabs x K
  double* parts;        // of weights and losses
};
template <class Real>
static FewShared<Real> few_shared(const LinearLoss& call, const FewSizes& s, Pieces& pieces) {
  const int64_t D = call.n_features, K = call.n_classes;
  FewShared<Real> shared = {};
  for (int64_t i = 0; i < s.n_logits; ++i) {
    shared.panels[i] = pieces.take<Real>(s.panels * rounded_up(D, 4));
    shared.bias[i] = pieces.take<Real>(K);
  }
  shared.rows = pieces.take<Real>((K + 16) * s.row_step);
  shared.weight_sums = pieces.take<double>(call.weight_gradient ? s.n_slabs * K * D : 0);
  shared.bias_sums = pieces.take<double>(call.bias_gradient ? s.n_slabs * K : 0);
  shared.parts = pieces.take<double>(4 * n_sums(call));
  return shared;
}

// What a thread works in.
template <class Real>
struct FewScratch {
  ActiveRows active;
  Real* features;  // copied rows
  Real* tail;      // last columns of rows that were not copied
  Real* by_row;    // logits, a row after the other
  Real* by_class[2];
  Real* shares;
  Real* product;  // K x D of a block, or rows of the gradient of the features
  BlockState state;
  FinishedRows<Real> rows;
  double* losses;
};
template <class Real>
static FewScratch<Real> few_scratch(const LinearLoss& call, const FewSizes& s, Pieces& pieces) {
  const int64_t B = s.block_rows, K = call.n_classes;
  FewScratch<Real> t = {};
  t.active = {0, pieces.take<int64_t>(B), pieces.take<int64_t>(B), pieces.take<double>(B)};
  t.features = pieces.take<Real>(B * s.row_step);
  t.tail = pieces.take<Real>(B * panel_width<Real>);
  t.by_row = pieces.take<Real>(B * s.class_step);
  for (int64_t i = 0; i < s.n_logits; ++i) t.by_class[i] = pieces.take<Real>(s.class_step * B);
  t.shares = pieces.take<Real>(call.indices ? 0 : s.class_step * B);
  t.product = pieces.take<Real>(most(K, B) * s.row_step);
  t.state.maximum = pieces.take<double>(B);
  t.state.rest = pieces.take<double>(B);
  if (call.label_smoothing > 0.0) t.state.spread = pieces.take<double>(B);
  if (!call.indices) {
    t.state.mean = pieces.take<double>(B);
    t.state.mass = pieces.take<double>(B);
  }
  if (s.n_logits > 1) {
    t.state.centre = pieces.take<double>(B);
    t.state.deviation = pieces.take<double>(B);
    t.rows.average = pieces.take<double>(B);
  }
  t.rows.maximum = t.state.maximum;
  t.rows.centre = t.state.centre;
  t.rows.target_logit = pieces.take<double>(B);
  t.rows.factor = pieces.take<Real>(B);
  t.rows.complement = pieces.take<Real>(B);
  t.rows.share = pieces.take<Real>(B);
  t.rows.mass = pieces.take<Real>(B);
  t.losses = pieces.take<double>(B);
  return t;
}

// Panels of the transpose of a K x D matrix, zeros behind the last class.
template <class Real>
static void few_panels(const Matrix& weight, int64_t K, int64_t D, Real* panels) {
  constexpr int64_t width = panel_width<Real>, run = 256;
  Real part[run];
  for (int64_t c = 0; c < rounded_up(K, width); ++c) {
    Real* out = panels + c / width * width * D + c % width;
    for (int64_t d = 0; d < D; d += run) {
      const int64_t count = least(run, D - d);
      if (c < K)
        copy_of_row(weight, c, d, count, part);
      else
        fill(part, count, Real(0));
      for (int64_t j = 0; j < count; ++j) out[(d + j) * width] = part[j];
    }
  }
}

// One block of at most `block_rows` rows.
template <class Real>
class FewBlock {
 public:
  FewBlock(const LinearLoss& call, const FewSizes& sizes, const FewShared<Real>& shared, FewScratch<Real>& scratch,
           double divisor)
      : call_(call), s_(sizes), shared_(shared), t_(scratch), divisor_(divisor) {}

  void run(int64_t first, int64_t end, int64_t slab) {
    t_.active.count = 0;
    collect_rows(call_, first, end, t_.active);
    const int64_t n = t_.active.count;
    if (call_.features_gradient && n < end - first) clear_features_gradient(first, end);
    for (int64_t i = first; i < end && call_.losses; ++i) call_.losses[i] = 0.0;
    if (n == 0) return;
    n_rows_ = rounded_up(n, row_unit);
    find_features(first, n == end - first);
    for (int64_t i = 0; i < s_.n_logits; ++i) make_logits(i);
    make_states();
    add_losses();
    if (call_.weight_gradient || call_.bias_gradient || call_.features_gradient) make_gradients(slab);
  }

 private:
  LogitBlock<Real> block() const { return {t_.by_class[0], s_.block_rows, 0, call_.n_classes, n_rows_}; }

  // The rows where they lie if all of them take part, else copies with zeros behind the last feature.
  void find_features(int64_t first, bool all) {
    const int64_t D = call_.n_features;
    is_copied_ = !(all && has_plain_rows<Real>(call_.features));
    if (!is_copied_) {
      x_ = plain_row<Real>(call_.features, first);
      x_step_ = call_.features.row / int64_t(sizeof(Real));
      return;
    }
    x_ = t_.features;
    x_step_ = s_.row_step;
    for (int64_t r = 0; r < t_.active.count; ++r) {
      copy_of_row(call_.features, t_.active.row[r], 0, D, t_.features + r * x_step_);
      fill(t_.features + r * x_step_ + D, x_step_ - D, Real(0));
    }
  }

  void make_logits(int64_t kind) {
    constexpr int width = panel_width<Real>;
    const int64_t n = t_.active.count, D = call_.n_features, K = call_.n_classes;
    // A few whole rows at a time: they come from memory in the order in which they lie.
    for (int64_t r = 0; r < n; r += streamed_rows)
      matmul<Real>(least(streamed_rows, n - r), K, D, {x_ + r * x_step_, x_step_, 1},
                   {shared_.panels[kind], width * D, width}, t_.by_row + r * s_.class_step, s_.class_step, false,
                   !is_copied_ && kind == 0);
    for (int64_t r = n; r < n_rows_; ++r) fill(t_.by_row + r * s_.class_step, s_.class_step, Real(0));
    for (int64_t r = 0; r < n_rows_; r += lanes_of<Real>)
      transpose_rows(t_.by_row + r * s_.class_step, s_.class_step, rounded_up(K, 4), t_.by_class[kind] + r,
                     s_.block_rows);
  }

  void make_states() {
    fill(t_.rows.target_logit, n_rows_, -infinity<double>);
    const Real* tangents = nullptr;
    if (s_.n_logits > 1) {
      LogitBlock<Real> u = block();
      u.logits = t_.by_class[1];
      add_bias_and_find_maximum(u, shared_.bias[1], t_.state.maximum);
      tangents = u.logits;
    }
    add_bias_and_find_maximum(block(), shared_.bias[0], t_.state.maximum);
    pick_targets(block(), t_.active, t_.rows.target_logit);
    if (!call_.indices) copy_shares(call_, t_.active, block(), t_.shares);
    if (t_.state.spread || t_.state.mean) sum_differences(block(), call_.indices ? nullptr : t_.shares, t_.state);
    exponentiate(block(), tangents, t_.state);
    finish_rows(call_, divisor_, t_.active, t_.state, t_.rows, t_.losses, 0, n_rows_);
  }

  void add_losses() {
    for (int64_t r = 0; r < t_.active.count; ++r) {
      const int64_t row = t_.active.row[r];
      shared_.parts[3 * n_sums(call_) + row / sum_rows] += t_.losses[r];
      if (call_.losses) call_.losses[row] = t_.losses[r];
    }
  }

  void make_gradients(int64_t slab) {
    const int64_t n = t_.active.count, D = call_.n_features, K = call_.n_classes, step = s_.block_rows;
    Real* const g = t_.by_class[0];
    if (s_.n_logits > 1)
      make_product(block(), t_.state.maximum, t_.by_class[1], t_.active, t_.rows, g);
    else
      make_gradient(call_, block(), t_.state.maximum, call_.indices ? nullptr : t_.shares, t_.active, t_.rows, g);
    if (call_.bias_gradient)
      for (int64_t c = 0; c < K; ++c) shared_.bias_sums[slab * K + c] += sum_over_rows(g + c * step, n_rows_);
    if (call_.weight_gradient) add_weight_gradient(g, n, shared_.weight_sums + slab * K * D);
    if (call_.features_gradient) make_features_gradient(g, n);
  }

  void add_weight_gradient(const Real* g, int64_t n, double* sums) {
    constexpr int L = lanes_of<Real>, width = panel_width<Real>;
    const int64_t D = call_.n_features, K = call_.n_classes, step = s_.row_step;
    const int64_t whole = is_copied_ ? step : D / L * L;
    matmul<Real>(K, whole, n, {g, s_.block_rows, 1}, {x_, width, x_step_}, t_.product, step, false);
    if (whole < D) {
      pack(x_ + whole, x_step_, n, D - whole, t_.tail, 0);
      matmul<Real>(K, D - whole, n, {g, s_.block_rows, 1}, {t_.tail, 0, width}, t_.product + whole, step, false);
    }
    for (int64_t c = 0; c < K; ++c)
      for (int64_t d = 0; d < D; ++d) sums[c * D + d] += double(t_.product[c * step + d]);
  }

  void make_features_gradient(const Real* g, int64_t n) {
    const int64_t D = call_.n_features, step = s_.row_step;
    matmul<Real>(n, step, call_.n_classes, {g, 1, s_.block_rows}, {shared_.rows, panel_width<Real>, step}, t_.product,
                 step, false);
    for (int64_t r = 0; r < n; ++r)
      store_rounded(t_.product + r * step, D, call_.features.element, call_.features_gradient, t_.active.row[r] * D);
  }

  void clear_features_gradient(int64_t first, int64_t end) {
    fill(t_.product, call_.n_features, Real(0));
    for (int64_t i = first; i < end; ++i)
      store_rounded(t_.product, call_.n_features, call_.features.element, call_.features_gradient,
                    i * call_.n_features);
  }

  const LinearLoss& call_;
  const FewSizes& s_;
  const FewShared<Real>& shared_;
  FewScratch<Real>& t_;
  const double divisor_;
  const Real* x_ = nullptr;
  int64_t x_step_ = 0, n_rows_ = 0;
  bool is_copied_ = false;
};

// Slabs are added in their order, in double, and rounded once.
template <class Real>
static void add_slabs(const double* sums, int64_t n_slabs, int64_t size, Element element, void* out, int threads) {
  constexpr int64_t run = 1024;
  parallel((size + run - 1) / run, size * n_slabs < 65536 ? 1 : threads, [&](int64_t task) {
    double sum[run];
    Real narrow_sum[run];
    const int64_t first = task * run, count = least(run, size - first);
    fill(sum, count, 0.0);
    for (int64_t s = 0; s < n_slabs; ++s)
      for (int64_t j = 0; j < count; ++j) sum[j] += sums[s * size + first + j];
    for (int64_t j = 0; j < count; ++j) narrow_sum[j] = Real(sum[j]);
    store_rounded(narrow_sum, count, element, out, first);
  });
}

template <class Real>
static int64_t few_bytes(const LinearLoss& call) {
  Pieces pieces(nullptr);
  few_shared<Real>(call, few_sizes<Real>(call), pieces);
  return pieces.bytes();
}

template <class Real>
static LossSum run_few(const LinearLoss& call, void* memory) {
  const FewSizes sizes = few_sizes<Real>(call);
  Pieces pieces(memory);
  const FewShared<Real> shared = few_shared<Real>(call, sizes, pieces);
  const int64_t D = call.n_features, K = call.n_classes, n_parts = n_sums(call);
  for (int64_t i = 0; i < sizes.n_logits; ++i) {
    const Matrix& bias = i ? call.bias_tangent : call.bias;
    few_panels(i ? call.weight_tangent : call.weight, K, D, shared.panels[i]);
    fill(shared.bias[i], K, Real(0));
    if (bias.data) copy_of_row(bias, 0, 0, K, shared.bias[i]);
  }
  for (int64_t c = 0; c < K && call.features_gradient; ++c) {
    copy_of_row(call.weight, c, 0, D, shared.rows + c * sizes.row_step);
    fill(shared.rows + c * sizes.row_step + D, sizes.row_step - D, Real(0));
  }
  LossSum total = weigh_rows(call, shared.parts);
  double* const losses = shared.parts + 3 * n_parts;
  fill(losses, n_parts, 0.0);
  volatile bool has_no_memory = false;
  const int threads = call.n_rows * most(D, 16) * most(K, 8) < 400000 ? 1 : call.threads;
  parallel(sizes.n_slabs, threads, [&](int64_t slab) {
    Pieces count(nullptr);
    few_scratch<Real>(call, sizes, count);
    void* const own = scratch(0, count.bytes());
    if (!own) {
      has_no_memory = true;
      return;
    }
    Pieces own_pieces(own);
    FewScratch<Real> state = few_scratch<Real>(call, sizes, own_pieces);
    if (call.weight_gradient) fill(shared.weight_sums + slab * K * D, K * D, 0.0);
    if (call.bias_gradient) fill(shared.bias_sums + slab * K, K, 0.0);
    FewBlock<Real> block(call, sizes, shared, state, call.mean ? total.weight : 1.0);
    const int64_t end = least((slab + 1) * sizes.slab_rows, call.n_rows);
    for (int64_t i = slab * sizes.slab_rows; i < end; i += sizes.block_rows)
      block.run(i, least(i + sizes.block_rows, end), slab);
  });
  if (call.weight_gradient)
    add_slabs<Real>(shared.weight_sums, sizes.n_slabs, K * D, call.weight.element, call.weight_gradient, threads);
  if (call.bias_gradient)
    add_slabs<Real>(shared.bias_sums, sizes.n_slabs, K, call.weight.element, call.bias_gradient, threads);
  total.loss = sum_of_parts(losses, n_parts);
  total.out_of_memory = has_no_memory;
  return total;
}

}  // namespace SOFTCLASS_TARGET
}  // namespace softclass
